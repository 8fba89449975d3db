"""Voltage-based plasticity against a loop that is written out, and the timing that follows from it."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

from .spike_trains import learned, random_spikes, train

A_LTD, A_LTP, LOW, HIGH, TAU_X, TAU_MINUS, TAU_PLUS = 14e-5, 8e-5, -70.6, -45.3, 15.0, 10.0, 7.0


def by_events(pre, v, weight, dt):
    """The weight of one synapse, from explicit sums over all that came before."""
    for n in range(len(v)):
        averages = []
        for tau in (TAU_MINUS, TAU_PLUS):
            keep = math.exp(-dt / tau)
            averages.append(LOW + sum((v[k] - LOW) * (1 - keep) * keep ** (n - 1 - k) for k in range(n)))
        x = sum(pre[k] * math.exp((k - n) * dt / TAU_X) / TAU_X for k in range(n))
        minus, plus = (max(0.0, average - LOW) for average in averages)
        weight += dt * A_LTP * x * max(0.0, v[n] - HIGH) * plus - A_LTD * pre[n] * minus
    return weight


@pytest.mark.parametrize("v_spike", [None, 20.0])
def test_the_rule_is_the_sum_over_the_past(v_spike):
    dt, pre, post = 0.5, random_spikes(60, 2, 3, seed=1), random_spikes(60, 2, 2, p=0.05, seed=2)
    v = -75 + 45 * torch.rand(60, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    weight = learned(tdn.VoltageSTDP(v_spike=v_spike), pre, post, v=v, dt=dt)[-1]
    seen = v if v_spike is None else torch.where(post > 0, v_spike, v)
    for b in range(2):
        for i in range(2):
            for j in range(3):
                expected = by_events(pre[:, b, j].tolist(), seen[:, b, i].tolist(), 0.5, dt)
                assert weight[b, i, j].item() == pytest.approx(expected, rel=0, abs=1e-12)
    assert (weight - 0.5).abs().max() > 1e-2


def test_depression_follows_the_mean_depolarisation_squared():
    """Of one synapse without potentiation, written out; it grows with the mean, and is none at rest."""
    tau, reference, dt = 40.0, math.sqrt(60), 0.5
    pre, post = random_spikes(40, 1, 1, p=0.3, seed=1), torch.zeros(40, 1, 1, dtype=torch.float64)
    v = LOW + 25 * torch.rand(40, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    rule = tdn.VoltageSTDP(A_LTP=0.0, v_ref=reference, tau_mean=tau)
    found = learned(rule, pre, post, v=v, dt=dt)[-1].item()
    expected, low, mean = 0.5, 0.0, 0.0
    for spike, potential in zip(pre.flatten().tolist(), (v - LOW).flatten().tolist(), strict=True):
        expected -= A_LTD * mean**2 / 60 * spike * low
        low += (potential - low) * (1 - math.exp(-dt / TAU_MINUS))
        mean += (potential - mean) * (1 - math.exp(-dt / tau))
    assert 0.5 - expected > 1e-3
    assert found == pytest.approx(expected, rel=0, abs=1e-12)
    resting = learned(tdn.VoltageSTDP(v_ref=reference), pre, post, v=torch.full_like(v, LOW), dt=dt)[-1].item()
    assert resting == 0.5
    with pytest.raises(ValueError, match="VoltageSTDP: expected v_ref for a depression that follows"):
        tdn.VoltageSTDP(tau_mean=100.0)


def pairs(lag, rate, count):
    """The change by pairs of spikes, post of a cell that rests between them."""
    starts = [20 + 1000 / rate * n for n in range(count)]
    steps = round(starts[-1]) + 40
    pre = train([start + max(0, -lag) for start in starts], steps)
    post = train([start + max(0, lag) for start in starts], steps)
    return learned(tdn.VoltageSTDP(), pre, post, v=torch.full_like(post, LOW))[-1].item() - 0.5


def test_timing_and_frequency_follow_from_the_potential():
    """Post before pre weakens; pre before post strengthens, but only behind another spike, as at a high rate."""
    jump = (20 - LOW) * (1 - math.exp(-1 / TAU_MINUS))
    assert pairs(-10, 1, 1) == pytest.approx(-A_LTD * jump * math.exp(-9 / TAU_MINUS), abs=1e-12)
    assert pairs(10, 1, 1) == 0
    x = math.exp(-10 / TAU_X) + math.exp(-30 / TAU_X)
    high = (20 - LOW) * (1 - math.exp(-1 / TAU_PLUS)) * math.exp(-19 / TAU_PLUS)
    second = A_LTP * x / TAU_X * (20 - HIGH) * high - A_LTD * jump * math.exp(-9 / TAU_MINUS)
    assert pairs(10, 50, 2) == pytest.approx(second, abs=1e-12)
    assert pairs(10, 100, 10) > 0 > pairs(10, 20, 10)


def test_it_reads_the_potential_of_the_cell_behind():
    plastic = tdn.Plastic(nn.Linear(3, 2, bias=False), tdn.VoltageSTDP(), dt=0.1).double()
    nn.init.constant_(plastic.connection.weight, 2000.0)
    chain, x = tdn.Chain(plastic, tdn.AdEx(dt=0.1).double()), random_spikes(80, 2, 3, p=0.5, seed=4)
    with torch.no_grad():
        seen = tdn.record(chain, x, ["0.weight", "1.v", "1.output"])
    assert seen["1.output"].sum() > 0
    expected = learned(tdn.VoltageSTDP(), x, seen["1.output"], v=seen["1.v"], dt=0.1, start=2000.0)
    assert_close(seen["0.weight"], expected)
    with pytest.raises(ValueError, match="expected neurons with a field 'v' in their state"):
        learned(tdn.VoltageSTDP(), x, seen["1.output"])
