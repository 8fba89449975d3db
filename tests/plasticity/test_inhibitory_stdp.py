"""Inhibitory plasticity against pairs of spikes, and the rate that it is after."""

import math

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn

from .spike_trains import learned, random_spikes, times_of, train

ETA, RHO, TAU = 0.02, 8.0, 20.0


def by_events(pre, post, weight):
    """The weight after all spikes, by pairs of either order and a constant at each presynaptic spike."""
    weight += ETA * sum(math.exp(-abs(s - t) / TAU) for s in pre for t in post if s != t)
    return weight - ETA * 2 * RHO / 1000 * TAU * len(pre)


def test_the_clock_gives_what_events_give():
    pre, post = random_spikes(150, 2, 3, seed=1), random_spikes(150, 2, 2, seed=2)
    weight = learned(tdn.InhibitorySTDP(ETA, RHO, TAU), pre, post, dt=0.5)[-1]
    for b in range(2):
        for i in range(2):
            for j in range(3):
                expected = by_events(times_of(pre[:, b, j], 0.5), times_of(post[:, b, i], 0.5), 0.5)
                assert weight[b, i, j].item() == pytest.approx(expected, rel=0, abs=1e-12)


def test_spikes_of_the_same_step_do_not_pair():
    weight = learned(tdn.InhibitorySTDP(ETA, RHO, TAU), train([5], 10), train([5], 10))
    assert weight[-1].item() == pytest.approx(0.5 - ETA * 2 * RHO / 1000 * TAU, abs=1e-12)


class Driven(nn.Module):
    """A constant drive, less the inhibition."""

    def forward(self, inhibition):
        return 2.5 - inhibition


@pytest.mark.parametrize("start", [0.0, 0.6])
def test_the_target_rate_is_reached(start):
    """From above, without inhibition, and from below."""
    rho, steps = 20.0, 1400
    plastic = tdn.Plastic(nn.Linear(40, 3, bias=False), tdn.InhibitorySTDP(0.2, rho, TAU, w_min=0.0), weights="rows")
    nn.init.constant_(plastic.connection.weight, start)
    cells = tdn.Chain(plastic, tdn.ExponentialSynapse(10.0), Driven(), tdn.LIF(20.0))
    with torch.no_grad():
        spikes, _ = cells.scan(random_spikes(steps, 40, 40, p=0.02, seed=3).float())
    first, last = (1000 * spikes[window].mean().item() for window in (slice(0, 100), slice(1000, None)))
    assert abs(first - rho) > 8
    assert last == pytest.approx(rho, rel=0.1)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"InhibitorySTDP.tau: expected a number above 0, got 0 ms"):
        tdn.InhibitorySTDP(tau=0.0)
    with pytest.raises(ValueError, match=r"InhibitorySTDP.rho: expected 0 or a number above it, got -5 Hz"):
        tdn.InhibitorySTDP(rho=-5.0)
