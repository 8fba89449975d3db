import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.compression import prune


def test_the_smallest_weights_of_all_layers_together_are_gone():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 3))
    with torch.no_grad():
        net[2].weight *= 10
    before = [net[0].weight.detach().clone(), net[2].weight.detach().clone()]
    zeros = prune(net, 0.5)
    every = torch.cat([each.abs().flatten() for each in before])
    limit = every.sort().values[len(every) // 2 - 1]
    for old, layer in zip(before, (net[0], net[2]), strict=True):
        assert torch.equal(layer.weight, torch.where(old.abs() > limit, old, 0.0))
    assert zeros["0"] > 0.8 > 0.5 > zeros["2"]
    assert isinstance(net[0].weight, nn.Parameter)
    assert not net[0]._forward_pre_hooks


def test_shares_and_weights_are_checked():
    with pytest.raises(ValueError, match="expected share from 0 to 1"):
        prune(nn.Linear(2, 2), 1.5)
    with pytest.raises(ValueError, match="got none"):
        prune(tdn.LIF(), 0.5)
    assert prune(nn.Linear(2, 2), 0.0) == {"": 0.0}
