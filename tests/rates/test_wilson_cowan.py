"""The excitatory-inhibitory pair: against SciPy, at rest and in its oscillation, and coupled to others."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import fsolve
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.fused.agreement import assert_agrees


def sigmoid(x, beta, theta):
    return 1 / (1 + np.exp(-beta * (x - theta)))


def field(state, I_E, I_I, across=0.0):
    """The equation with the default constants, times 10 ms."""
    E, I = state  # noqa: E741
    return np.array(
        [
            -E + sigmoid(16 * E - 12 * I + I_E + across, 1.3, 4.0),
            -I + sigmoid(15 * E - 3 * I + I_I, 2.0, 3.7),
        ]
    )


def constant(I_E, I_I, steps):
    return (torch.full((steps, 1, 1), I_E, dtype=torch.float64), torch.full((steps, 1, 1), I_I, dtype=torch.float64))


@pytest.mark.parametrize(("method", "order"), [(tdn.RK4, 4), (tdn.Heun, 2), (tdn.Euler, 1), (tdn.ExponentialEuler, 1)])
def test_against_scipy_with_the_order_of_the_method(method, order):
    duration, errors = 60.0, []
    run = solve_ivp(
        lambda _, s: field(s, 1.5, 0.2) / 10, (0, duration), [0, 0], method="DOP853", rtol=1e-12, atol=1e-13
    )
    for dt in (0.25, 0.125, 0.0625):
        with torch.no_grad():
            pair = tdn.WilsonCowan(integrator=method(), dt=dt).double()
            E, state = pair.scan(constant(1.5, 0.2, round(duration / dt)))
        assert_close(E[-1], state.E)
        errors.append(max(abs(state.E.item() - run.y[0, -1]), abs(state.I.item() - run.y[1, -1])))
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.3)


def test_rests_without_drive_and_oscillates_with_it():
    pair = tdn.WilsonCowan(integrator=tdn.RK4()).double()
    with torch.no_grad():
        E, state = pair.scan(constant(0.0, 0.0, 600))
        rest = fsolve(lambda s: field(s, 0.0, 0.0), [0.0, 0.0], xtol=1e-13)
        assert [state.E.item(), state.I.item()] == pytest.approx(rest, abs=1e-8)
        E = pair.scan(constant(1.5, 0.0, 1500))[0].flatten()[500:]
    ups = ((E[1:] > E.mean()) & (E[:-1] <= E.mean())).nonzero().flatten()
    # The period of the same limit cycle by SciPy, from upward crossings of the same level.
    level = E.mean().item()
    crossing = lambda _, s: s[0] - level  # noqa: E731
    crossing.direction = 1
    run = solve_ivp(lambda _, s: field(s, 1.5, 0.0) / 10, (0, 1500), [0, 0], rtol=1e-9, atol=1e-11, events=crossing)
    period = np.diff(run.t_events[0][-10:]).mean()
    assert ups.diff().double().mean().item() == pytest.approx(period, rel=0.01)
    assert 1000 / period == pytest.approx(19, abs=1)  # as the docstring says


def test_background_is_added_to_the_input_and_one_tensor_holds_both():
    x = torch.rand(20, 3, 2, 4)
    pair = tdn.WilsonCowan(I_E=0.7, I_I=-0.2)
    assert_close(pair(x), tdn.WilsonCowan()((x[:, :, 0] + 0.7, x[:, :, 1] - 0.2)))
    with pytest.raises(
        ValueError, match=r"WilsonCowan: expected the inputs \(I_E, I_I\) of both .*, got shape \(20, 3, 4"
    ):
        pair(x[:, :, 0])


def test_pairs_coupled_by_their_excitation():
    """Two pairs, each driven by the excitation of the other inside the step."""
    across = torch.tensor([[0.0, 3.0], [1.0, 0.0]], dtype=torch.float64)
    run = solve_ivp(
        lambda _, s: np.concatenate(
            [field(s[[0, 2]], 1.5, 0, across=3.0 * s[1]), field(s[[1, 3]], 0.5, 0, across=1.0 * s[0])]
        )[[0, 2, 1, 3]] / 10,
        (0, 40), np.zeros(4), rtol=1e-11, atol=1e-12,
    )  # fmt: skip
    net = tdn.Network(
        tdn.WilsonCowan(integrator=tdn.RK4(), dt=0.1), nn.Linear(2, 2, bias=False), source="E", input=0
    ).double()
    x = torch.tensor([[1.5, 0.5], [0.0, 0.0]], dtype=torch.float64).expand(400, 1, 2, 2)
    with torch.no_grad(), tdn.backend("auto"):
        net.connection.weight.copy_(across)
        _, state = net.scan(x)
    assert_close(torch.cat([state.neuron.E[0], state.neuron.I[0]]), torch.from_numpy(run.y[:, -1]), rtol=0, atol=1e-7)
    assert_agrees(net, x[:21].unbind(2), relative=1e-11)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_strengths_stay_positive_however_they_are_learned(optimizer):
    strengths = {name: tdn.Learned(2.0) for name in ("w_EE", "w_EI", "w_IE", "w_II")}
    pair = tdn.WilsonCowan(**strengths)
    learner = optimizer(pair.parameters(), lr=50.0)
    for sign in (1, -1, 1):
        learner.zero_grad()
        (sign * 1e3 * pair(torch.rand(10, 2, 2, 3)).sum()).backward()
        assert all(parameter.grad.isfinite().all() for parameter in pair.parameters())
        learner.step()
        assert all(getattr(pair, name)().item() >= 0 for name in strengths)
