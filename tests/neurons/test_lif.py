"""The leaky integrate-and-fire neuron against its closed form."""

import math

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn

TAU = 20.0


def charging_steps(drive, start, dt, v_th=1.0, tau=TAU):
    """Steps from ``start`` to the threshold: the continuous charging time, detected on the grid."""
    if drive <= v_th:
        return math.inf
    return max(1, math.ceil(tau * math.log((drive - start) / (drive - v_th)) / dt))


@pytest.mark.parametrize("dt", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("t_ref", [0.0, 2.0, 7.0])
@pytest.mark.parametrize("reset", ["subtract", "value", "zero"])
def test_spike_times_under_a_constant_current(dt, t_ref, reset):
    currents = [0.8, 1.0, 1.05, 1.37, 2.2, 9.0]
    start = {"subtract": None, "value": -0.4, "zero": 0.0}[reset]
    level = {"v_reset": -0.4} if reset == "value" else {}
    cell = tdn.LIF(TAU, R=2.0, **level, reset=reset, t_ref=t_ref, dt=dt).double()
    steps = round(250 / dt)
    spikes = cell((torch.tensor(currents, dtype=torch.float64) / 2).expand(steps, 1, -1))[:, 0]
    for current, train in zip(currents, spikes.T, strict=True):
        expected, v, n = [], 0.0, 0
        while (n := n + charging_steps(current, v, dt)) <= steps:
            reached = current + (v - current) * math.exp(-dt * charging_steps(current, v, dt) / TAU)
            expected.append(n - 1)
            v = reached - 1 if start is None else start
            n += round(t_ref / dt)
        assert train.nonzero().flatten().tolist() == expected, current
        assert len(expected) == 0 if current <= 1 else len(expected) > 2


def test_rate_approaches_the_continuous_formula():
    dt, t_ref = 0.05, 3.0
    currents = torch.tensor([1.0, 1.2, 1.8, 4.0], dtype=torch.float64)
    cell = tdn.LIF(TAU, v_reset=-0.2, reset="value", t_ref=t_ref, dt=dt).double()
    with torch.no_grad():
        spikes = cell(currents.expand(5000, 1, -1))[:, 0]
    assert spikes[:, 0].sum() == 0
    for current, train in zip(currents[1:].tolist(), spikes.T[1:], strict=True):
        interval = train.nonzero().flatten().diff().double().mean().item() * dt
        formula = t_ref + TAU * math.log((current + 0.2) / (current - 1))
        # Detection on the grid is late by less than one step.
        assert 0 <= interval - formula < dt


@pytest.mark.parametrize("dt", [0.05, 1.0, 13.0, 50.0])
def test_step_response_below_threshold_is_exact_at_any_dt(dt):
    cell = tdn.LIF(TAU, R=5.0, v_rest=-70.0, v_th=-50.0, v_reset=-75.0, reset="value", dt=dt).double()
    v = tdn.record(cell, torch.full((12, 1, 1), 3.0, dtype=torch.float64), ["v"])["v"].flatten()
    t = dt * torch.arange(1, 13, dtype=torch.float64)
    assert_close(v, -70 + 15 * (1 - torch.exp(-t / TAU)))


def test_gradient_of_the_potential_below_threshold_is_the_analytic_one():
    # The surrogate is not zero below threshold: only without the path through the reset is the gradient analytic.
    cell = tdn.LIF(tdn.Learned(TAU), R=tdn.Learned(0.75), v_rest=tdn.Learned(0.125)).double()
    steps = 30
    _, state = cell.scan(torch.full((steps, 1, 1), 1.0, dtype=torch.float64))
    state.v.sum().backward()
    # v(T) = v_rest + R I (1 - exp(-T/tau)); raw = log(tau / initial).
    decay = math.exp(-steps / TAU)
    assert_close(cell.tau_mem.raw.grad.item() / TAU, -0.75 * steps / TAU**2 * decay)
    assert_close(cell.R.raw.grad.item() / 0.75, 1 - decay)
    assert_close(cell.v_rest.raw.grad.item(), 1.0)


@pytest.mark.parametrize(
    ("reset", "after"), [("subtract", 0.3), ("value", -0.25), ("zero", 0.0)], ids=["subtract", "value", "zero"]
)
def test_reset_modes(reset, after):
    level = {"v_reset": -0.25} if reset == "value" else {}
    cell = tdn.LIF(v_rest=0.2, v_th=1.2, **level, reset=reset, t_ref=2.0)
    state = cell.initial_state(torch.zeros(1, 1))._replace(v=torch.full((1, 1), 1.3))
    moved = []
    for drive in (1.1, 50.0, 50.0, 0.0):
        y, state = cell.step(torch.full((1, 1), drive), state)
        moved.append((y.item(), state.v.item()))
    assert moved[0] == (1.0, pytest.approx(after, abs=1e-6))
    # Held where the reset put it for two steps, whatever comes in.
    assert moved[1] == moved[2] == (0.0, moved[0][1])
    assert moved[3] == (0.0, pytest.approx(0.2 + (after - 0.2) * math.exp(-1 / TAU), abs=1e-6))


@pytest.mark.parametrize("integrator", [tdn.Euler(), tdn.Heun(), tdn.Midpoint(), tdn.RK4(), tdn.ExponentialEuler()])
def test_every_integrator_fires_at_the_rate_of_the_formula(integrator):
    dt = 0.05
    spikes = tdn.LIF(TAU, t_ref=4.0, reset="value", integrator=integrator, dt=dt)(torch.full((2000, 1, 1), 1.5))
    interval = spikes.flatten().nonzero().flatten().diff().double().mean().item() * dt
    formula = 4.0 + TAU * math.log(1.5 / 0.5)
    # One step of detection, and for Euler its error of order dt / (2 tau).
    assert interval == pytest.approx(formula, abs=2 * dt)


def test_learned_and_per_neuron_parameters():
    taus = torch.tensor([5.0, 20.0, 80.0])
    thresholds = torch.tensor([0.5, 1.0, 1.2])
    cell = tdn.LIF(tdn.Learned(taus), v_th=tdn.Learned(thresholds), R=tdn.Learned(1.5))
    x = torch.full((60, 2, 3), 2.0)
    spikes = cell(x)
    for index in range(3):
        alone = tdn.LIF(taus[index].item(), v_th=thresholds[index].item(), R=1.5)(x[..., index : index + 1])
        assert_close(spikes[..., index : index + 1], alone)
        assert alone.sum() > 0
    spikes.sum().backward()
    assert {name for name, _ in cell.named_parameters()} == {"tau_mem.raw", "v_th.raw", "R.raw"}
    assert all((parameter.grad != 0).all() for parameter in cell.parameters())
    assert (cell.v_th.raw.grad < 0).all()


def test_detached_reset_changes_the_gradient_only():
    x = torch.full((40, 1, 1), 1.5, requires_grad=True)
    plain, detached = tdn.LIF(detach_reset=False), tdn.LIF()
    assert_close(plain(x), detached(x))
    (through,) = torch.autograd.grad(plain(x).sum(), x)
    (around,) = torch.autograd.grad(detached(x).sum(), x)
    assert not torch.allclose(through, around)


def test_extreme_and_silent_inputs_stay_finite():
    x = torch.tensor([-1e6, -1.0, 0.0, 1e6]).expand(20, 1, -1).clone().requires_grad_()
    for reset in ("subtract", "value", "zero"):
        y, state = tdn.LIF(tdn.Learned(TAU), reset=reset, t_ref=2.0).scan(x)
        (gradient,) = torch.autograd.grad(y.sum() + state.v.sum(), x)
        assert y.isfinite().all()
        assert gradient.isfinite().all()
        assert y[..., 2].sum() == 0 < y[..., 3].sum()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tau_mem": 0.0}, ValueError, r"LIF.tau_mem: expected a number above 0, got 0 ms; pass"),
        (
            {"tau_mem": torch.tensor([5.0, -1.0])},
            ValueError,
            r"LIF.tau_mem: expected a number above 0, got -1 ms; pass",
        ),
        ({"dt": -1.0}, ValueError, r"LIF: expected dt above 0 ms, got -1.0; pass"),
        ({"t_ref": -1.0}, ValueError, r"LIF: expected t_ref at least 0 ms, got -1.0; pass"),
        ({"reset": "soft"}, ValueError, r"LIF: expected reset to be one of 'subtract', .*, got 'soft'; choose"),
        ({"v_th": 0.0}, ValueError, r"LIF: expected v_th above v_rest with reset='subtract', got .* and 0, where"),
        (
            {"v_th": -50.0, "v_rest": -70.0, "reset": "zero"},
            ValueError,
            r"LIF: expected v_th above zero .*got v_th = -50",
        ),
        ({"surrogate": "atan"}, TypeError, r"LIF: expected a surrogate such as ATan\(\), got 'atan'; pass"),
        ({"tau_mem": "20"}, TypeError, r"Positive: expected a number, a tensor or Learned\(value\), got str; pass"),
        (
            {"tau_mem": 1.0, "dt": 2.0, "integrator": tdn.Euler()},
            ValueError,
            r"LIF: expected a step below twice tau_mem",
        ),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        tdn.LIF(**arguments)
