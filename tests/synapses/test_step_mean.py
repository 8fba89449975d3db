"""The charge that synapses carry: with the mean over a step it is that of the continuous equation, whatever dt."""

import math
from functools import partial

import pytest
import torch
from scipy.integrate import quad
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves

TAU_RISE, TAU_DECAY = 0.7, 4.0
PEAK_TIME = TAU_RISE * TAU_DECAY / (TAU_DECAY - TAU_RISE) * math.log(TAU_DECAY / TAU_RISE)
DOUBLE_AREA = (TAU_DECAY - TAU_RISE) / (math.exp(-PEAK_TIME / TAU_DECAY) - math.exp(-PEAK_TIME / TAU_RISE))
"""The area of the difference of two exponentials, over its highest value."""


def exact(value):
    return torch.tensor(value, dtype=torch.float64)


CASES = {
    "exponential": (partial(tdn.ExponentialSynapse, exact(5.0)), 5.0),
    "exponential, area": (partial(tdn.ExponentialSynapse, exact(5.0), normalize="area"), 1.0),
    "alpha": (partial(tdn.AlphaSynapse, exact(3.0)), math.e * 3.0),
    "alpha, area": (partial(tdn.AlphaSynapse, exact(3.0), normalize="area"), 1.0),
    "double": (partial(tdn.DoubleExponentialSynapse, exact(TAU_RISE), exact(TAU_DECAY)), DOUBLE_AREA),
    "double, area": (partial(tdn.DoubleExponentialSynapse, exact(2.0), exact(6.0), normalize="area"), 1.0),
    "double, equal": (partial(tdn.DoubleExponentialSynapse, exact(4.0), exact(4.0)), math.e * 4.0),
    "learned": (partial(tdn.ExponentialSynapse, tdn.Learned(exact(7.0))), 7.0),
    "fast": (partial(tdn.ExponentialSynapse, exact(1e-3)), 1e-3),
    "fast, alpha": (partial(tdn.AlphaSynapse, exact(1e-3)), math.e * 1e-3),
    "fast, double": (partial(tdn.DoubleExponentialSynapse, exact(1e-4), exact(2e-3), normalize="area"), 1.0),
}


def spike(steps, *shape):
    x = torch.zeros(steps, 1, *(shape or (1,)), dtype=torch.float64)
    x[2] = 1
    return x


@pytest.mark.parametrize("dt", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("name", CASES)
def test_charge_of_a_spike(name, dt):
    make, charge = CASES[name]
    y = make(output="mean", dt=dt)(spike(round(300 / dt)))
    assert_close(y.sum().item() * dt, charge, rtol=1e-12, atol=0)
    assert (y[:2] == 0).all()


def test_charge_of_receptors_at_steps_of_one_ms():
    receptors = [tdn.AMPA(), tdn.GABA_A(), tdn.NMDA(tau_rise=exact(2.0), tau_decay=exact(20.0)), tdn.AMPA(tau_rise=2.0)]
    rise, decay = 2.0, 20.0
    time = rise * decay / (decay - rise) * math.log(decay / rise)
    nmda = (decay - rise) / (math.exp(-time / decay) - math.exp(-time / rise))
    x = spike(600, 4, 1)
    held = tdn.ConductanceSynapse(receptors, output="mean").double()(x)
    for g, charge in zip(held, (2.0, 5.0, nmda, 2 * math.e), strict=True):
        assert_close(g.sum().item(), charge, rtol=1e-9, atol=0)
    # The value at the end of a step carries more: a spike counts from where it is highest.
    at_end = tdn.ConductanceSynapse(receptors).double()(x)
    assert_close(at_end[0].sum().item(), 1 / (1 - math.exp(-1 / 2)), rtol=1e-9, atol=0)
    assert_close(at_end[1].sum().item(), 1 / (1 - math.exp(-1 / 5)), rtol=1e-9, atol=0)


def test_charge_that_a_membrane_takes_up():
    """Under a leak the potential, integrated over time, is R times the charge."""
    charges = {}
    for output in ("end", "mean"):
        chain = tdn.Chain(tdn.ExponentialSynapse(exact(5.0), output=output), tdn.LeakyIntegrator(exact(20.0)))
        charges[output] = chain.double()(spike(900)).sum().item()
    assert_close(charges["mean"], 5.0, rtol=1e-12, atol=0)
    assert_close(charges["end"], 1 / (1 - math.exp(-1 / 5)), rtol=1e-9, atol=0)


def alpha(tau, t):
    return t / tau * math.exp(1 - t / tau)


def difference(rise, decay, t):
    return (math.exp(-t / decay) - math.exp(-t / rise)) / (decay - rise)


RESPONSES = {
    "exponential": (partial(tdn.ExponentialSynapse, exact(4.0)), lambda t: math.exp(-t / 4)),
    "alpha": (partial(tdn.AlphaSynapse, exact(4.0)), partial(alpha, 4.0)),
    "double": (
        partial(tdn.DoubleExponentialSynapse, exact(1.5), exact(6.0), normalize="area"),
        partial(difference, 1.5, 6.0),
    ),
    "slow": (
        partial(tdn.DoubleExponentialSynapse, exact(300.0), exact(6000.0), normalize="area"),
        partial(difference, 300.0, 6000.0),
    ),
}


@pytest.mark.parametrize("dt", [0.25, 2.0])
@pytest.mark.parametrize("name", RESPONSES)
def test_it_is_the_mean_over_the_step_that_follows_the_arrivals(name, dt):
    make, response = RESPONSES[name]
    x = (torch.rand(20, 1, 3, generator=torch.Generator().manual_seed(0)) < 0.4).double()
    means = [quad(response, k * dt, (k + 1) * dt, epsabs=0, epsrel=1e-12)[0] / dt for k in range(20)]
    expected = sum(means[k] * torch.cat([torch.zeros(k, 1, 3, dtype=x.dtype), x[: 20 - k]]) for k in range(20))
    y, state = make(dt=dt, output="mean").scan(x)
    assert_close(y, expected, rtol=1e-9, atol=1e-15)
    _, at_end = make(dt=dt).scan(x)
    assert_close(leaves(state), leaves(at_end), rtol=0, atol=0)


def test_a_conductance_is_the_synapse_of_its_time_constants():
    x = (torch.rand(30, 2, 3, generator=torch.Generator().manual_seed(0)) < 0.3).double()
    receptors = [tdn.GABA_A(), tdn.NMDA()]
    fast, slow = tdn.ConductanceSynapse(receptors, output="mean").double()((x, 2 * x))
    assert_close(fast, tdn.ExponentialSynapse(5.0, output="mean").double()(x))
    assert_close(slow, tdn.DoubleExponentialSynapse(2.0, 100.0, output="mean").double()(2 * x))


SYNAPSES = {
    "exponential": lambda *tau: tdn.ExponentialSynapse(tdn.Learned(tau[1]), output="mean"),
    "alpha": lambda *tau: tdn.AlphaSynapse(tdn.Learned(tau[1]), output="mean"),
    "double": lambda *tau: tdn.DoubleExponentialSynapse(*map(tdn.Learned, tau), output="mean"),
    "conductance": lambda *tau: tdn.ConductanceSynapse(
        [tdn.AMPA(tau_rise=tdn.Learned(tau[0]), tau_decay=tdn.Learned(tau[1]))], output="mean"
    ),
}


def time_constants(module):
    return {name: parameter for name, parameter in module.named_parameters() if "tau" in name}


@pytest.mark.parametrize("name", SYNAPSES)
def test_gradients_by_finite_differences(name):
    # The first neuron's time constants are equal; the steps are short, like and long against the others'.
    tau = exact([4.0, 0.5, 30.0, 0.9]), exact([4.0, 2.0, 90.0, 0.02])
    module = SYNAPSES[name](*tau).double()
    x = torch.rand(6, 1, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    names = list(time_constants(module))

    def run(x, *raw):
        return torch.func.functional_call(module, dict(zip(names, raw, strict=True)), x)

    raw = [torch.zeros(4, dtype=torch.float64, requires_grad=True) for _ in names]
    assert torch.autograd.gradcheck(run, (x.requires_grad_(), *raw))


@pytest.mark.parametrize("name", SYNAPSES)
def test_value_and_gradient_are_finite_at_any_time_constants(name):
    tau = torch.tensor([1e-6, 1e6, 1e-6, 1e6, 1.0]), torch.tensor([1e-6, 1e6, 1e6, 1e-6, 1.0])
    module = SYNAPSES[name](*tau)
    y = leaves(module(torch.ones(5, 2, 5)))[0]
    y.sum().backward()
    assert y.isfinite().all()
    assert y[:, :, [1, 4]].min() > 0
    for parameter in time_constants(module).values():
        assert parameter.grad.isfinite().all()


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own forward mode
@pytest.mark.parametrize("name", SYNAPSES)
def test_transforms_of_functions_over_a_step(name):
    module = SYNAPSES[name](exact([2.0, 3.0]), exact([5.0, 3.0]))
    x_t = torch.ones(1, 2, dtype=torch.float64)
    _, state = module.step(x_t, module.initial_state(x_t))

    def output(state):
        return leaves(module.step(x_t, state)[0])[0]

    backward, forward = (leaves(way(output)(state)) for way in (torch.func.jacrev, torch.func.jacfwd))
    for one, other in zip(backward, forward, strict=True):
        assert_close(one, other)
        assert one.diagonal(dim1=1, dim2=3).abs().min() > 0


def test_wrong_arguments():
    for kind in (tdn.ExponentialSynapse, tdn.AlphaSynapse, tdn.DoubleExponentialSynapse, tdn.ConductanceSynapse):
        with pytest.raises(
            ValueError, match=rf"{kind.__name__}: expected output to be one of 'end', 'mean', got 'start'"
        ):
            kind(output="start")
        assert kind(output="mean").output == "mean"
        assert "output='mean'" in repr(kind(output="mean"))
