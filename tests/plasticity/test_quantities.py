"""Values of a rule that fit no neurons, and hooks of the layer that learns."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn


def test_values_for_other_neurons_are_refused_in_words():
    plastic = tdn.Plastic(nn.Linear(3, 2), tdn.PairSTDP(A_plus=torch.tensor([0.1, 0.2, 0.3, 0.4])))
    with pytest.raises(ValueError, match=r"A_plus of PairSTDP .* \(2,\) behind .* \(3,\) before it, got shape \(4,\)"):
        plastic.initial_state(torch.zeros(1, 3))
    inside = tdn.Rules(tdn.Hebbian(), tdn.WeightNormalization(torch.ones(5)))
    with pytest.raises(ValueError, match="total of WeightNormalization"):
        tdn.Plastic(nn.Linear(3, 2), inside).initial_state(torch.zeros(1, 3))
    for values in (torch.ones(2), torch.ones(2, 1, 1)):
        rule = tdn.WeightNormalization(values)
        tdn.Plastic(nn.Conv2d(3, 2, 3), rule).initial_state(torch.zeros(1, 3, 5, 5))


@pytest.mark.parametrize("weights", ["rows", "mean"])
@pytest.mark.parametrize("kind", [nn.Linear, nn.Conv1d])
def test_hooks_of_the_layer_see_its_frames(kind, weights):
    layer, seen = kind(3, 2, *((3,) if kind is nn.Conv1d else ())), []
    chain = tdn.Chain(tdn.Plastic(layer, tdn.Hebbian(0.1), weights=weights), tdn.LeakyIntegrator())
    inner, outer = ((), ()) if kind is nn.Linear else ((6,), (4,))
    x = torch.rand(4, 5, 3, *inner, generator=torch.Generator().manual_seed(0))
    expected = chain(x)
    layer.register_forward_hook(lambda module, given, y: seen.append((given[0].shape, y.shape)))
    torch.testing.assert_close(chain(x), expected)
    assert seen == [((5, 3, *inner), (5, 2, *outer))] * 4
    layer.register_forward_hook(lambda module, given, y: 2 * y)
    assert (chain(x) - expected).abs().max() > 0.01
    assert "forward" not in vars(layer)
