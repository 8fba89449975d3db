"""Decoders of spike times and of votes, against loops over plain numbers."""

import math

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.decoding import FirstSpike, SoftmaxMembrane, SpikeRate

SPIKES = torch.tensor([[0, 0, 1, 0, 1, 0], [1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]]).T.double().unsqueeze(1)


def test_first_spikes():
    assert FirstSpike(tau=4.0, dt=2.0)(SPIKES).tolist() == [[-1.0, 0.0, -3.0]]
    assert FirstSpike(tau=4.0, dt=2.0)(SPIKES, torch.tensor([2])).tolist() == [[-1.0, 0.0, -1.0]]


def test_gradient_of_first_spikes():
    """What one more spike, or one less, would change: the sum is linear in each of them."""
    spikes = SPIKES.clone().requires_grad_()
    (slope,) = torch.autograd.grad(FirstSpike(tau=1.0)(spikes).sum(), spikes)
    for step in range(6):
        for neuron in range(3):
            with_, without = SPIKES.clone(), SPIKES.clone()
            with_[step, 0, neuron], without[step, 0, neuron] = 1.0, 0.0
            change = (FirstSpike(tau=1.0)(with_) - FirstSpike(tau=1.0)(without))[0, neuron]
            assert slope[step, 0, neuron] == change
    assert slope[:, 0, 0].tolist() == [2.0, 1.0, 2.0, 0.0, 0.0, 0.0]


def test_a_neuron_learns_to_be_early():
    torch.manual_seed(0)
    cell, drive = tdn.LIF(5.0), torch.full((20, 1, 1), 1.05, requires_grad=True)
    with tdn.backend("eager"):
        (slope,) = torch.autograd.grad(FirstSpike()(cell(drive)).sum(), drive)
    assert FirstSpike(tau=1.0)(cell(drive)).item() < -5
    assert (slope >= 0).all()
    assert slope.sum() > 0


def test_votes():
    v = torch.tensor([[[0.0, 1.0]], [[2.0, -1.0]], [[50.0, 0.0]]])
    share = lambda a, b: 1 / (1 + math.exp(b - a))  # noqa: E731
    first = share(0, 1) + share(2, -1) + share(50, 0)
    assert_close(SoftmaxMembrane()(v), torch.tensor([[first, 3 - first]]))


def test_rates():
    assert_close(SpikeRate(dt=2.0)(SPIKES), torch.tensor([[2.0, 2.0, 0.0]]).double() * 1000 / 12)
    assert_close(SpikeRate(dt=2.0)(SPIKES, torch.tensor([4])), torch.tensor([[1.0, 1.0, 0.0]]).double() * 1000 / 8)


@pytest.mark.parametrize(("kind", "argument"), [(FirstSpike, "tau"), (FirstSpike, "dt"), (SpikeRate, "dt")])
def test_times_are_positive(kind, argument):
    with pytest.raises(ValueError, match=rf"^{kind.__name__}: expected {argument} above 0 ms, got 0"):
        kind(**{argument: 0})
