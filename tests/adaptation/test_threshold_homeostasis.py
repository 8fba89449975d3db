import math

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn


def test_it_holds_the_rate_under_any_input():
    cell = tdn.LIF(20.0, adaptation=tdn.ThresholdHomeostasis(0.2, rate=25.0, tau=None)).double()
    x = torch.tensor([1.5, 4.0, 20.0]).double().expand(6000, 1, 3)
    spikes, _ = cell.scan(x)
    assert_close(spikes[2000:].mean((0, 1)) * 1000, torch.full((3,), 25.0).double(), atol=0.3, rtol=0)  # whole spikes
    free = tdn.LIF(20.0).double()(x)
    assert free.mean((0, 1)).max() > 5 * free.mean((0, 1)).min()


@pytest.mark.parametrize("rows", ["each", "mean", "sum"])
@pytest.mark.parametrize("tau", [None, 40.0])
def test_against_a_loop(rows, tau):
    step, rate, tau_mem, dt, batch = 0.1, 30.0, 10.0, 0.5, 3
    homeostasis = tdn.ThresholdHomeostasis(step, rate=rate, tau=tau, rows=rows)
    cell = tdn.LIF(tau_mem, adaptation=homeostasis, dt=dt).double()
    x = 6 * torch.rand(200, batch, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y, state = cell.scan(x)
    v, theta, found = torch.zeros(batch, 2).double(), torch.zeros(batch, 2).double(), []
    for x_t in x:
        v = x_t + (v - x_t) * math.exp(-dt / tau_mem)
        fall = step * rate / 1000 * (batch if rows == "sum" else 1)
        theta = theta - dt * fall if tau is None else -fall * tau + (theta + fall * tau) * math.exp(-dt / tau)
        spikes = (v >= 1 + theta).double()
        v = v - spikes
        raised = {"each": spikes, "mean": spikes.mean(0), "sum": spikes.sum(0)}[rows]
        theta = theta + step * raised
        found.append(spikes)
    assert y.sum() > 30
    assert torch.equal(y, torch.stack(found))
    theta_end = state.adaptation if rows == "each" else state.adaptation.theta
    assert_close(theta_end, theta if rows == "each" else theta[0])


def test_the_threshold_of_diehl_and_cook_is_an_adaptive_one():
    """Without a rate it is the adaptive threshold that rises by beta / tau."""
    x = 4 * torch.rand(300, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one = tdn.LIF(adaptation=tdn.ThresholdHomeostasis(0.05, tau=100.0)).double()
    other = tdn.LIF(adaptation=tdn.AdaptiveThreshold(100.0, beta=5.0)).double()
    y, state = one.scan(x)
    assert y.sum() > 20
    assert torch.equal(y, other(x))
    assert_close(state.adaptation, other.scan(x)[1].adaptation)


@pytest.mark.parametrize("rows", ["each", "mean"])
def test_frozen_it_stays(rows):
    homeostasis = tdn.ThresholdHomeostasis(0.1, rate=30.0, rows=rows)
    cell, x = tdn.LIF(adaptation=homeostasis), 5 * torch.rand(50, 2, 3)
    _, state = cell.scan(x)
    homeostasis.frozen = True
    y, after = cell.scan(x, state)
    assert_close(tdn.leaves(after.adaptation), tdn.leaves(state.adaptation), rtol=0, atol=0)
    assert y.any()
    homeostasis.frozen = False
    _, moved = cell.scan(x, state)
    assert not torch.equal(tdn.leaves(moved.adaptation)[0], tdn.leaves(state.adaptation)[0])


@pytest.mark.parametrize("rows", ["each", "mean"])
def test_explicit_integrators_take_it_too(rows):
    """Below threshold theta falls by the same line."""
    ends = []
    for integrator in (tdn.Euler(), tdn.RK4()):
        homeostasis = tdn.ThresholdHomeostasis(0.1, rate=30.0, tau=None, rows=rows)
        cell = tdn.LIF(integrator=integrator, adaptation=homeostasis).double()
        _, state = cell.scan(torch.zeros(40, 2, 3).double())
        ends.append(tdn.leaves(state.adaptation)[0])
    assert_close(ends[0], torch.full_like(ends[0], -0.1 * 0.03 * 40))
    assert_close(ends[1], ends[0])


def test_a_threshold_for_all_rows_is_not_reset_with_one():
    cell = tdn.LIF(adaptation=tdn.ThresholdHomeostasis(0.1, rows="mean"))
    live = tdn.Streaming(torch.nn.Sequential(cell))
    live(torch.full((20, 2, 3), 3.0))
    theta = live.states()["0"].adaptation.theta
    assert theta.min() > 0
    live.reset([True, True])
    assert torch.equal(live.states()["0"].adaptation.theta, theta)
    assert not live.states()["0"].v.any()


def test_one_for_all_rows_runs_step_by_step_and_says_why():
    cell, x = tdn.LIF(adaptation=tdn.ThresholdHomeostasis(rows="sum")), torch.rand(5, 2, 3)
    cell(x)  # without a warning
    assert "pointwise = False" in tdn.why_eager(cell, x)
    cell.adaptation = tdn.ThresholdHomeostasis()
    assert tdn.why_eager(cell, x) is None
    with pytest.raises(ValueError, match="expected an adaptation of each row for Interpolated"):
        tdn.LIF(integrator=tdn.Interpolated(tdn.RK4()), adaptation=tdn.ThresholdHomeostasis(rows="mean"))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="expected rows to be one of 'each', 'mean', 'sum'"):
        tdn.ThresholdHomeostasis(rows="rows")
    with pytest.raises(ValueError, match="0 or a number above it"):
        tdn.ThresholdHomeostasis(rate=-1.0)


@pytest.mark.parametrize("rows", ["each", "mean", "sum"])
def test_an_empty_batch_moves_no_threshold(rows):
    cell = tdn.LIF(adaptation=tdn.ThresholdHomeostasis(0.05, rows=rows))
    y, state = cell.scan(torch.rand(5, 0, 3))
    assert y.shape == (5, 0, 3)
    if rows != "each":
        assert torch.equal(state.adaptation.theta, torch.zeros(3))
