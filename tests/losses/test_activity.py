"""Prices on spikes: their formulas, and that no layer is overlooked, whatever holds it."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.losses import RateBounds, SpikeSparsity, watching
from torchdyn_neuro.losses.activity import LayerSpikes


@pytest.fixture(autouse=True)
def eager():
    with tdn.backend("eager"):
        yield


def spikes(*counts, steps=10):
    """One neuron for each count, which fires so often from the start, in two rows alike."""
    train = torch.stack([(torch.arange(steps) < count).float() for count in counts], 1)
    return train.unsqueeze(1).repeat(1, 2, 1)


def activity(*counts, dt=2.0, lengths=None):
    return [LayerSpikes("a", spikes(*counts), lengths, dt)]


def test_bounds():
    """In 10 steps of 2 ms: 0, 50 and 400 Hz."""
    assert_close(RateBounds(lower=100.0)(activity(0, 1, 8)), torch.tensor((1 + 0.5**2 + 0) / 3))
    assert_close(RateBounds(upper=100.0)(activity(0, 1, 8)), torch.tensor((0 + 0 + 3.0**2) / 3))
    both = RateBounds(lower=100.0, upper=200.0, strength=0.5)(activity(0, 1, 8) + activity(2))
    assert_close(both, torch.tensor(0.5 * ((1 + 0.25 + 1) / 3 + 0)))


def test_sparsity():
    assert_close(SpikeSparsity(strength=3.0)(activity(0, 1, 8)), torch.tensor(3 * 0.9 / 3))
    assert_close(SpikeSparsity(order=2.0)(activity(0, 1, 8)), torch.tensor((0.01 + 0.64) / 3))
    assert_close(SpikeSparsity(layers=["a"])([*activity(5), LayerSpikes("b", spikes(9), None, 1.0)]), torch.tensor(0.5))


@pytest.mark.parametrize("penalty", [RateBounds(lower=300.0, upper=310.0), SpikeSparsity(order=2.0)])
def test_padding_costs_nothing(penalty):
    own = spikes(0, 1, 8)[:, :1]
    wide = torch.cat([own, torch.full((7, 1, 3), math.nan)]).requires_grad_()
    price = penalty([LayerSpikes("a", wide, torch.tensor([10]), 2.0)])
    assert torch.equal(price, penalty([LayerSpikes("a", own, None, 2.0)]))
    (slope,) = torch.autograd.grad(price, wide)
    assert slope[:10].any()
    assert not slope[10:].any()


MODELS = {
    "Sequential": lambda: nn.Sequential(nn.Linear(4, 5), tdn.LIF(3.0)),
    "Chain": lambda: tdn.Chain(nn.Linear(4, 5), tdn.ExponentialSynapse(), tdn.LIF(3.0)),
    "Recurrent": lambda: nn.Sequential(nn.Linear(4, 5), tdn.Recurrent(tdn.LIF(3.0), nn.Linear(5, 5))),
    "Recurrent in Chain": lambda: tdn.Chain(nn.Linear(4, 5), tdn.Recurrent(tdn.LIF(3.0), nn.Linear(5, 5))),
    "Unfolded": lambda: tdn.Stepwise(nn.Sequential(nn.Linear(4, 5), tdn.Unfolded(tdn.LIF(3.0)))),
    "Plastic": lambda: tdn.Chain(tdn.Plastic(nn.Linear(4, 5, bias=False), tdn.Hebbian(0.0)), tdn.LIF(3.0)),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_layer_is_seen_and_learns(name):
    torch.manual_seed(0)
    model, x = MODELS[name](), 9 * torch.rand(9, 3, 4)
    lengths = torch.tensor([9, 4, 6])
    with watching(model) as seen, tdn.padded(lengths):
        y = model(x)
    assert len(seen) == 1
    assert torch.equal(seen[0].spikes, y)
    assert seen[0].lengths is not None
    rates = torch.stack([y[:length, row].mean(0) for row, length in enumerate(lengths)]).mean(0)
    assert_close(seen[0].share(), rates)
    assert 0 < rates.mean() < 1
    model.zero_grad()
    SpikeSparsity()(seen).backward()
    weight = next(parameter for parameter in model.parameters() if parameter.ndim == 2)
    assert weight.grad.abs().max() > 0
    model(x)
    assert len(seen) == 1


def test_prices_that_cannot_be_said():
    with pytest.raises(ValueError, match=r"^watching: expected a model with spiking layers, got none in Linear; "):
        watching(nn.Linear(2, 2)).__enter__()
    with pytest.raises(ValueError, match=r"^SpikeSparsity: expected the spikes of 'b', got those of a; "):
        SpikeSparsity(layers=["b"])(activity(1))
    with pytest.raises(ValueError, match=r"^RateBounds: expected the spikes of at least one layer, got those of none"):
        RateBounds(lower=1.0)([])
    with pytest.raises(ValueError, match=r"^RateBounds: expected upper at or above lower, got 1 below 2 Hz; "):
        RateBounds(lower=2, upper=1)
    with pytest.raises(ValueError, match=r"^SpikeSparsity: expected strength at least 0, got -1"):
        SpikeSparsity(strength=-1)
