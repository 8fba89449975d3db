"""What holds for all linear synapses: exponential, alpha, double-exponential."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

import torchdyn_neuro as tdn


def single_spike(module, duration, dt):
    x = torch.zeros(round(duration / dt), 1, 1, dtype=torch.float64)
    x[0] = 1
    return module.double()(x).flatten(), torch.arange(len(x), dtype=torch.float64) * dt


def exact(value):
    """A parameter in float64 from the start."""
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize("dt", [0.1, 1.0])
def test_alpha_response_peak_and_area(dt):
    tau = 4.0
    s, t = single_spike(tdn.AlphaSynapse(tau, dt=dt), 200.0, dt)
    assert_close(s, t / tau * torch.exp(1 - t / tau), rtol=1e-9, atol=1e-12)
    assert_close(s.max().item(), 1.0, rtol=1e-12, atol=0)
    assert t[s.argmax()] == tau
    s, t = single_spike(tdn.AlphaSynapse(tau, normalize="area", dt=dt), 400.0, dt)
    assert_close(s, t / tau**2 * torch.exp(-t / tau), rtol=1e-9, atol=1e-12)
    # Euler-Maclaurin: the sum of a function that starts at 0 lacks its slope there times dt^2 / 12.
    assert_close(s.sum().item() * dt + dt**2 / 12 / tau**2, 1.0, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("tau_rise", "tau_decay"), [(0.5, 8.0), (2.0, 5.0), (5.0, 2.0), (3.0, 3.0001), (50.0, 200.0)])
def test_double_exponential_response_peak_and_area(tau_rise, tau_decay):
    dt = 0.05 * min(tau_rise, tau_decay)
    peak = tdn.DoubleExponentialSynapse(exact(tau_rise), exact(tau_decay), dt=dt)
    s, t = single_spike(peak, 10 * max(tau_rise, tau_decay), dt)
    time_to_peak = tau_rise * tau_decay / (tau_decay - tau_rise) * math.log(tau_decay / tau_rise)
    assert abs(t[s.argmax()].item() - time_to_peak) <= dt
    assert_close(s.max().item(), 1.0, rtol=1e-3, atol=0)  # the grid may miss the peak by half a step
    s, t = single_spike(
        tdn.DoubleExponentialSynapse(exact(tau_rise), exact(tau_decay), normalize="area", dt=dt),
        15 * max(tau_rise, tau_decay),
        dt,
    )
    expected = (torch.exp(-t / tau_decay) - torch.exp(-t / tau_rise)) / (tau_decay - tau_rise)
    assert_close(s, expected, rtol=1e-7, atol=1e-12)  # the closed form cancels where the two are close
    assert_close(s.sum().item() * dt + dt**2 / 12 / tau_rise / tau_decay, 1.0, rtol=1e-5, atol=0)


@pytest.mark.parametrize("normalize", ["peak", "area"])
def test_double_exponential_with_equal_time_constants_is_the_alpha_synapse(normalize):
    x = torch.zeros(10, 1, 2, dtype=torch.float64)
    x[0], x[4] = 1, 2
    tau = [torch.full((2,), 4.0, dtype=torch.float64, requires_grad=False) for _ in range(2)]
    module = tdn.DoubleExponentialSynapse(*map(tdn.Learned, tau), normalize=normalize)
    y = module(x)
    assert_close(y, tdn.AlphaSynapse(tau[0], normalize=normalize)(x), rtol=1e-12, atol=1e-15)

    def run(rise, decay):
        return torch.func.functional_call(module, {"tau_rise.raw": rise, "tau_decay.raw": decay}, x)

    raw = [torch.zeros(2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(run, raw)


def test_results_on_the_grid_do_not_depend_on_dt():
    for make in (
        lambda dt: tdn.AlphaSynapse(4.0, dt=dt),
        lambda dt: tdn.DoubleExponentialSynapse(1.5, 6.0, dt=dt),
        lambda dt: tdn.ExponentialSynapse(4.0, dt=dt),
    ):
        results = []
        for dt in (0.25, 1.0):
            x = torch.zeros(round(40 / dt), 1, 1, dtype=torch.float64)
            x[[0, round(3 / dt), round(20 / dt)]] = 1
            results.append(make(dt).double()(x)[:: round(1 / dt)])
        assert_close(results[0], results[1], rtol=1e-9, atol=1e-15)


def transfer(module, omega, dt):
    """Gain of the stepped filter for a sinusoid, measured by running it until transients are gone."""
    steps = round(400 / dt)
    t = torch.arange(steps, dtype=torch.float64) * dt
    x = torch.stack([torch.cos(omega * t), torch.sin(omega * t)], -1).unsqueeze(1)
    last = module.double()(x)[-1, 0]
    return math.hypot(*last.tolist())


@pytest.mark.parametrize("frequency", [0.0, 5.0, 20.0, 100.0])
def test_frequency_response(frequency):
    tau, dt = 10.0, 0.5
    omega = 2 * math.pi * frequency / 1000
    z = np.exp(-1j * omega * dt)
    a = math.exp(-dt / tau)
    exponential = abs(1 / (1 - a * z))
    assert_close(transfer(tdn.ExponentialSynapse(tau, dt=dt), omega, dt), exponential, rtol=1e-9, atol=0)
    # The discrete filter is the low-pass of the textbook up to the order of (omega dt)^2.
    low_pass = 1 / math.sqrt(1 + (omega * tau) ** 2)
    assert_close(exponential * (1 - a), low_pass, rtol=(omega * dt) ** 2 + 1e-3, atol=0)
    alpha = abs(math.e * dt / tau * a * z / (1 - a * z) ** 2)
    assert_close(transfer(tdn.AlphaSynapse(tau, dt=dt), omega, dt), alpha, rtol=1e-9, atol=0)
    rise = math.exp(-dt / 2.0)
    double = abs((a - rise) * z / ((1 - a * z) * (1 - rise * z)) / (tau - 2.0))
    module = tdn.DoubleExponentialSynapse(2.0, tau, normalize="area", dt=dt)
    assert_close(transfer(module, omega, dt), double, rtol=1e-9, atol=0)


trains = st.lists(st.floats(-4, 4), min_size=30, max_size=30).map(
    lambda values: torch.tensor(values, dtype=torch.float64).reshape(30, 1, 1)
)


@settings(max_examples=25, deadline=None)
@given(trains, trains, st.floats(-3, 3), st.integers(0, 20), st.sampled_from(["exponential", "alpha", "double"]))
def test_superposition_and_time_shift(x, y, factor, shift, name):
    module = {
        "exponential": tdn.ExponentialSynapse(3.0),
        "alpha": tdn.AlphaSynapse(3.0),
        "double": tdn.DoubleExponentialSynapse(1.0, 4.0),
    }[name].double()
    assert_close(module(x + factor * y), module(x) + factor * module(y), rtol=1e-9, atol=1e-9)
    later = torch.cat([torch.zeros(shift, 1, 1, dtype=torch.float64), x])
    assert_close(module(later)[shift:], module(x), rtol=0, atol=0)


@pytest.mark.parametrize(("tau_mem", "tau_syn"), [(20.0, 5.0), (10.0, 10.0), (5.0, 20.0)])
def test_postsynaptic_potential_of_a_current_synapse_by_formula(tau_mem, tau_syn):
    weight, dt = 0.7, 0.5
    x = torch.zeros(400, 1, 1, dtype=torch.float64)
    x[0] = weight
    v = tdn.record(tdn.SynapticLIF(exact(tau_mem), exact(tau_syn), dt=dt).double(), x, ["v"])["v"].flatten()
    t = torch.arange(400, dtype=torch.float64) * dt
    if tau_mem == tau_syn:
        expected = weight * t / tau_mem * torch.exp(-t / tau_mem)
    else:
        expected = weight * tau_syn / (tau_mem - tau_syn) * (torch.exp(-t / tau_mem) - torch.exp(-t / tau_syn))
    assert v.max() < 1  # below threshold
    assert v.max() > 0.1
    assert_close(v, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("module", [tdn.AlphaSynapse(), tdn.DoubleExponentialSynapse()], ids=["alpha", "double"])
def test_bfloat16_input_and_convolutional_shape(module):
    x = (torch.rand(10, 2, 3, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.3).to(torch.bfloat16)
    y, state = module.scan(x)
    assert y.dtype == torch.bfloat16
    assert {leaf.dtype for leaf in state} == {torch.float32}
    flat = module(x.float().flatten(2))
    assert_close(y, flat.reshape(x.shape).to(torch.bfloat16), rtol=0, atol=0)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"AlphaSynapse.tau: expected a number above 0"):
        tdn.AlphaSynapse(0.0)
    with pytest.raises(ValueError, match=r"DoubleExponentialSynapse: expected normalize to be one of"):
        tdn.DoubleExponentialSynapse(normalize="sum")
