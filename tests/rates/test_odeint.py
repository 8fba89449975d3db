"""Adaptive steps: against SciPy and against our own methods, with gradients, and refusals in plain words."""

import itertools
import math
import sys

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

pytest.importorskip("torchdiffeq")
odeint = tdn.rates.odeint


def ctrnn(integrator=tdn.ExponentialEuler(), dt=1.0):  # noqa: B008 - frozen
    torch.manual_seed(1)
    theta = tdn.Learned(torch.tensor([0.5, -1.0, 0.0]))
    net = tdn.CTRNN(3, tdn.Learned(torch.tensor([5.0, 10.0, 20.0])), theta, integrator=integrator, dt=dt).double()
    with torch.no_grad():
        net.connection.weight.mul_(6)
    return net


def frames(steps):
    return 2 * torch.randn(steps, 1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def by_scipy(net, x, kind):
    """Step by step, for the input jumps or bends at each frame."""
    W, tau, theta = (value.detach().numpy() for value in (net.connection.weight, net.tau(), net.theta()))
    state = np.zeros(3)
    for n in range(len(x)):
        now, after = x[n, 0].numpy(), x[min(n + 1, len(x) - 1), 0].numpy()

        def drive(t, now=now, after=after):
            return now if kind == "held" else now + t / net.dt * (after - now)

        def field(t, s, drive=drive):
            return (-s + W @ (1 / (1 + np.exp(-(s + theta)))) + drive(t)) / tau

        state = solve_ivp(field, (0, net.dt), state, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    return torch.from_numpy(state)


@pytest.mark.parametrize("kind", ["held", "linear"])
def test_against_scipy(kind):
    net, x = ctrnn(dt=3.0), frames(8)
    y, state = odeint(net, x, input=kind)
    assert_close(state.neuron.x[0].detach(), by_scipy(net, x, kind), rtol=0, atol=1e-8)
    assert_close(y[-1], net.neuron.observe(state.neuron))


@pytest.mark.parametrize("kind", ["held", "linear"])
@pytest.mark.parametrize(("method", "order"), [(tdn.RK4, 4), (tdn.Heun, 2), (tdn.Midpoint, 2), (tdn.Euler, 1)])
def test_our_methods_come_to_it_with_their_order(kind, method, order):
    x = frames(12)
    with torch.no_grad():
        reference, _ = odeint(ctrnn(), x, input=kind)
        errors = []
        for substeps in (1, 2, 4):
            y, _ = ctrnn(method(substeps=substeps)).scan(x, input=kind)
            errors.append((y - reference).abs().max().item())
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.4)


CASES = {
    "RateNetwork": (lambda: tdn.RateNetwork(3, activation=tdn.rates.Tanh(), integrator=tdn.RK4()), frames),
    "WilsonCowan": (lambda: tdn.WilsonCowan(integrator=tdn.RK4()), lambda steps: (frames(steps), frames(steps))),
    "Microcircuit": (lambda: tdn.Microcircuit(integrator=tdn.RK4()), lambda steps: (frames(steps), frames(steps))),
    "WongWang": (lambda: tdn.WongWang(3, integrator=tdn.RK4()), lambda steps: 0.01 * frames(steps)),
    "KWinnersTakeAll": (lambda: tdn.KWinnersTakeAll(3, integrator=tdn.RK4(substeps=4)), lambda s: 0.2 * frames(s)),
    "DivisiveNormalization": (lambda: tdn.DivisiveNormalization(3), frames),
    "LeakyIntegrator": (tdn.LeakyIntegrator, frames),
    "Network of pairs": (
        lambda: tdn.Network(tdn.WilsonCowan(integrator=tdn.RK4()), nn.Linear(3, 3), source="E", input=0),
        lambda steps: torch.stack([frames(steps), frames(steps)], 2),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_takes_and_gives_what_scan_does(name):
    build, drive = CASES[name]
    module, x = build().double(), drive(12)
    with torch.no_grad():
        y, state = odeint(module, x)
        expected, last = module.scan(x)
        assert_close(y, expected, rtol=0, atol=2e-5)
        assert_close(tdn.leaves(state), tdn.leaves(last), rtol=0, atol=2e-5)
        # Half and half is the whole.
        half = lambda part: tdn.map_state(lambda leaf: leaf[part], x)  # noqa: E731
        _, middle = odeint(module, half(slice(0, 6)))
        assert_close(odeint(module, half(slice(6, 12)), middle)[0], y[6:], rtol=0, atol=1e-7)


def test_gradients_reach_input_state_and_parameters():
    """Along one direction in all of them at once, against a central difference."""
    net = ctrnn(dt=3.0)
    given = {"x": frames(3), "s": torch.rand(1, 3, dtype=torch.float64), **dict(net.named_parameters())}
    given = {name: value.detach().clone().requires_grad_() for name, value in given.items()}
    direction = {name: torch.randn_like(value) for name, value in given.items()}

    def loss(values):
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                parameter.copy_(values[name])
        start = net.initial_state(values["x"][0])
        y, last = odeint(net, values["x"], start._replace(neuron=start.neuron._replace(x=values["s"])))
        return y.sin().sum() + last.neuron.x.square().sum()

    parameters = [parameter for _, parameter in net.named_parameters()]
    gradients = torch.autograd.grad(loss(given), [given["x"], given["s"], *parameters])
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    slope = sum((g * d).sum() for g, d in zip(gradients, direction.values(), strict=True)).item()
    up, down = ({name: value.detach() + h * direction[name] for name, value in given.items()} for h in (1e-5, -1e-5))
    assert slope == pytest.approx((loss(up) - loss(down)).item() / 2e-5, rel=1e-5)


def test_what_is_not_smooth_is_refused():
    x = torch.rand(4, 2, 3)
    with pytest.raises(ValueError, match="odeint: expected a smooth equation, got LIF, which spikes"):
        odeint(tdn.LIF(), x)
    with pytest.raises(ValueError, match="odeint: expected a smooth equation, got LIF, which spikes"):
        odeint(tdn.Network(tdn.LIF(), tdn.GapJunction(3), source="v"), x)
    with pytest.raises(ValueError, match="odeint: expected an equation without noise, got RateUnit with one"):
        odeint(tdn.RateUnit(noise=tdn.WhiteNoise()), x)
    with pytest.raises(
        ValueError, match=r"odeint: expected a coupling inside the step, got Network with a delay of 2 ms"
    ):
        odeint(tdn.Network(tdn.RateUnit(), nn.Linear(3, 3), delay=2.0), x)
    with pytest.raises(TypeError, match="odeint: expected a differential equation, got Chain"):
        odeint(tdn.Chain(tdn.RateUnit(), tdn.RateUnit()), x)
    with pytest.raises(ValueError, match="odeint: expected input to be one of 'held', 'linear', got 'step'"):
        odeint(tdn.RateUnit(), x, input="step")
    with pytest.raises(ValueError, match="CTRNN: expected an input of width 3 for Linear, got 2"):
        odeint(tdn.CTRNN(3), x[..., :2])


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    with pytest.raises(ImportError, match=r"odeint: expected the package torchdiffeq.*torchdyn_neuro\[ode\]"):
        odeint(tdn.RateUnit(), torch.ones(2, 1, 1))


def test_chance_and_empty_batches_are_refused():
    """The steps of the solver would become ever smaller."""
    net = tdn.Network(tdn.RateUnit(), torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5)))
    x = torch.rand(3, 4, 2)
    with pytest.raises(ValueError, match=r"without chance, .* call eval"):
        tdn.rates.odeint(net, x, rtol=1e-5, atol=1e-6)
    assert tdn.rates.odeint(net.eval(), x, rtol=1e-5, atol=1e-6)[0].shape == x.shape
    with pytest.raises(ValueError, match="expected a row at least, got a batch of 0"):
        tdn.rates.odeint(tdn.RateUnit(), x[:, :0])
