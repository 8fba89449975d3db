"""The operators of the package, in those of torch."""

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.core.random import normal, random_bits
from torchdyn_neuro.export.operators import in_torch

OURS = torch.ops.torchdyn_neuro


def keys():
    return torch.randint(-(2**63), 2**63 - 1, (50, 7), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("stream", [0, 3, 2**32 - 1])
def test_random_numbers_are_the_same_bit_for_bit(stream):
    assert torch.equal(
        torch.stack(in_torch()[OURS.random_bits.default](keys(), stream)), torch.stack(random_bits(keys(), stream))
    )
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(in_torch()[OURS.normal.default](keys(), stream, dtype), normal(keys(), stream, dtype))


def test_products_by_events_are_dense_ones():
    x = (torch.rand(4, 20, generator=torch.Generator().manual_seed(0)) < 0.2).float()
    weight, bias = torch.linspace(-1, 1, 600).reshape(30, 20), torch.linspace(0, 1, 30)
    expected = x @ weight.t() + bias
    assert_close(OURS.event_linear(x, weight, bias, 0.5), expected)
    assert_close(in_torch()[OURS.event_linear.default](x, weight, bias, 0.5), expected)
    images, kernels = x.reshape(4, 1, 4, 5), torch.linspace(-1, 1, 18).reshape(2, 1, 3, 3)
    arguments = images, kernels, None, (1, 1), (1, 1), (1, 1), 0.5
    assert_close(in_torch()[OURS.event_conv2d.default](*arguments), OURS.event_conv2d(*arguments))


def test_sparse_weights_go_synapse_by_synapse():
    # The second and the last input send nothing, and two synapses go from the first input to one output.
    pre, post = torch.tensor([0, 0, 0, 2]), torch.tensor([1, 1, 2, 0])
    layer = tdn.SparseLinear(4, 3, tdn.wiring.Given(pre, post, weight=torch.tensor([1.0, 2.0, 4.0, 8.0])))
    x = torch.tensor([[1.0, 5.0, 1.0, 7.0], [2.0, 0.0, -1.0, 0.0]])
    y = in_torch()[OURS.row_product.default](x, layer.start, layer.place, layer.weight.detach(), 3)
    assert y.tolist() == [[8.0, 3.0, 4.0], [-8.0, 6.0, 8.0]]
