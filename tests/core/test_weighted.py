"""What a plastic connection takes for its layer, and in which types."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.learning import EProp


class Twice(nn.Linear):
    """A linear layer that is not x W^T + b."""

    def forward(self, x):
        return 2 * super().forward(x)


class Named(nn.Linear):
    """A linear layer under another name."""


def taught(connection, x, weights="rows"):
    net = tdn.Chain(tdn.Plastic(connection, tdn.Hebbian(0.1), weights=weights), tdn.LeakyIntegrator(5.0))
    with tdn.backend("eager"):
        y, (state, _) = net.scan(x)
    return y, state.weight


@pytest.mark.parametrize("weights", ["rows", "mean", "sum"])
def test_the_forward_of_a_subclass_counts(weights):
    x, layer = torch.rand(4, 2, 6), Twice(6, 3)
    y, _ = taught(layer, x[:1], weights)
    with tdn.backend("eager"):
        assert_close(y, tdn.Chain(layer, tdn.LeakyIntegrator(5.0))(x[:1]))


def test_a_subclass_without_a_forward_is_a_linear_layer():
    x, layer, named = torch.rand(4, 2, 6), nn.Linear(6, 3), Named(6, 3)
    named.load_state_dict(layer.state_dict())
    assert_close(taught(named, x), taught(layer, x), rtol=0, atol=0)


def test_the_forward_of_a_subclass_is_no_linear_layer_for_eligibilities():
    with pytest.raises(TypeError, match="linear layers only, got Twice at '0'"):
        EProp().prepare(nn.Sequential(Twice(4, 5), tdn.LIF(), nn.Linear(5, 2), tdn.LeakyIntegrator()))


@pytest.mark.parametrize(
    "layer", [nn.ConvTranspose1d(3, 3, 2), nn.LayerNorm((4, 4)), nn.Embedding(4, 4), nn.Bilinear(3, 3, 3)]
)
def test_weights_with_other_axes_are_refused(layer):
    with pytest.raises(
        TypeError, match=rf"expected a layer whose weight is \[post, pre, \*\], got {type(layer).__name__}"
    ):
        tdn.Plastic(layer, tdn.Hebbian())


@pytest.mark.parametrize("weights", ["rows", "mean"])
def test_a_convolution_in_a_narrow_type_has_weights_in_a_wide_one(weights):
    layer, x = nn.Conv1d(3, 4, 2).bfloat16(), torch.rand(4, 2, 3, 6).bfloat16()
    y, weight = taught(layer, x, weights)
    wide, expected = taught(layer.float(), x.float(), weights)
    assert (y.dtype, weight.dtype) == (torch.bfloat16, torch.float32)
    assert_close(weight, expected, rtol=0.02, atol=0.02)  # the current is rounded to three digits
    assert_close(y.float(), wide, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("weights", ["rows", "mean"])
@pytest.mark.parametrize("layer", [nn.Linear(3, 4), nn.Conv1d(3, 4, 2)])
def test_frames_of_another_type_are_refused(layer, weights):
    x = torch.rand(4, 2, 3, *(6,) * (layer.weight.ndim - 2), dtype=torch.float64)
    with pytest.raises(TypeError, match=r"Plastic: expected frames in torch.float32 .*, got torch.float64"):
        taught(layer, x, weights)
