"""A classifier of which only the readout learns."""

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.encoding import Rows
from torchdyn_neuro.models import ReservoirClassifier


@pytest.mark.parametrize("network", [lambda: tdn.EchoState(16), lambda: tdn.CTRNN(16, tau=tdn.Learned(5.0))])
def test_only_the_readout_learns(network):
    torch.manual_seed(0)
    model = ReservoirClassifier((1, 8), 10, network=network())
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    with tdn.backend("eager"):
        y = model(Rows(8)(torch.rand(4, 1, 8, 8)))
    assert y.shape == (8, 4, 10)
    y.square().sum().backward()
    optimizer.step()
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {"classify.1.weight", "classify.1.bias"}
    tdn.check(model)


def test_the_readout_gets_standardized_features():
    model = ReservoirClassifier((8,), 3, network=tdn.EchoState(16))
    given = []
    model.classify[1].register_forward_hook(lambda module, inputs, output: given.append(inputs[0]))
    with tdn.backend("eager"):
        model(torch.rand(8, 5, 8))
    assert given[0].mean((0, 1)).abs().max() < 1e-5
    assert given[0].std((0, 1)).tolist() == pytest.approx([1] * 16, abs=0.05)


def test_wrong_use():
    with pytest.raises(TypeError, match="ReservoirClassifier: expected a Network with a number of units, got LIF"):
        ReservoirClassifier((1, 8), 10, network=tdn.LIF())
