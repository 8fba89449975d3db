"""The continuous-time recurrent network: bias inside, of the unit that sends, a time constant per unit."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch.testing import assert_close

import torchdyn_neuro as tdn

N = 4
TAU = torch.tensor([4.0, 8.0, 15.0, 40.0], dtype=torch.float64)
THETA = torch.tensor([-2.0, 0.5, 1.0, -1.0], dtype=torch.float64)
DRIVE = torch.tensor([0.5, -0.3, 1.0, 0.0], dtype=torch.float64)


def network(integrator, dt, scale=4.0):
    net = tdn.CTRNN(N, TAU, THETA, integrator=integrator, dt=dt).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        net.connection.weight.copy_(scale * torch.randn(N, N, generator=generator, dtype=torch.float64))
    return net


def by_scipy(W, duration):
    sigma = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    run = solve_ivp(
        lambda _, x: (-x + W @ sigma(x + THETA.numpy()) + DRIVE.numpy()) / TAU.numpy(), (0, duration), np.zeros(N),
        method="DOP853", rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    return torch.from_numpy(run.y[:, -1])


@pytest.mark.parametrize(("method", "order"), [(tdn.RK4, 4), (tdn.Heun, 2), (tdn.Midpoint, 2), (tdn.Euler, 1)])
def test_against_scipy_with_the_order_of_the_method(method, order):
    duration, errors = 40.0, []
    for dt in (0.5, 0.25, 0.125):
        net = network(method(), dt)
        with torch.no_grad():
            y, state = net.scan(DRIVE.expand(round(duration / dt), 1, N))
        exact = by_scipy(net.connection.weight.detach().numpy(), duration)
        errors.append((state.neuron.x[0] - exact).abs().max().item())
        assert_close(y[-1], torch.sigmoid(state.neuron.x + THETA))
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.35)


def test_the_bias_belongs_to_the_unit_that_sends():
    """Unit 1 hears unit 0 alone: the bias of 0 moves it, its own does not."""
    results = []
    for theta in ([0.0, 0.0], [2.0, 0.0], [0.0, 2.0]):
        net = tdn.CTRNN(2, theta=torch.tensor(theta), integrator=tdn.RK4())
        with torch.no_grad():
            net.connection.weight.copy_(torch.tensor([[0.0, 0.0], [3.0, 0.0]]))
            _, state = net.scan(torch.zeros(400, 1, 2))
        results.append(state.neuron.x[0])
    plain, sender, receiver = results
    assert_close(receiver, plain, rtol=0, atol=0)
    assert plain[1].item() == pytest.approx(3 / (1 + math.exp(0)), abs=1e-5)
    assert sender[1].item() == pytest.approx(3 / (1 + math.exp(-2)), abs=1e-5)
    assert sender[0] == plain[0] == 0


def test_gradients_reach_everything():
    net = tdn.CTRNN(3, tdn.Learned(TAU[:3]), tdn.Learned(THETA[:3]), integrator=tdn.RK4()).double()
    given = dict(net.named_parameters())
    x = torch.rand(4, 1, 3, dtype=torch.float64, requires_grad=True)

    def run(x, *values):
        return torch.func.functional_call(net, dict(zip(given, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *given.values()))


def test_aliases_name_what_the_unit_holds():
    net = tdn.CTRNN(3, tau=5.0)
    net.tau = tdn.Positive(7.0, unit="ms")
    assert net.neuron.tau is net.tau
    net.integrator = tdn.RK4()
    assert net.neuron.integrator == tdn.RK4()
