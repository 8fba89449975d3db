"""Convolutions by events, forward and backward, against the dense convolution of torch."""

import copy

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.connections import event_conv2d as module
from torchdyn_neuro.events import propagate_events
from torchdyn_neuro.sparse import event_convolution, event_product

from ..threads import on_threads
from .by_events import LONG_SUMS, count_kernels, loss_after_training, results_of_both, sized, spikes

BOTH = [("convolution", True), ("convolution_weights", True)]


@pytest.fixture
def kernels(monkeypatch):
    return count_kernels(monkeypatch, module, event_convolution)


def both(x, dense, most_active=1.0):
    return results_of_both(x, dense, lambda twin: tdn.EventConv2d.from_conv2d(twin, most_active=most_active))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", ["spikes", "counts", "graded"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_dense_convolution(layout, kind, bias, dtype, kernels):
    torch.manual_seed(0)
    active = spikes((5, 3, 11, 9), dtype=dtype)
    active[2] = 0  # an image without any spike
    x = sized(active, kind).contiguous(memory_format=layout)
    for dense, events in both(x, nn.Conv2d(3, 17, 3, padding=1, bias=bias, dtype=dtype)):
        torch.testing.assert_close(events, dense)
    assert kernels == BOTH
    silent = torch.zeros(2, 3, 11, 9, dtype=dtype)
    for dense, events in both(silent, nn.Conv2d(3, 17, 3, padding=1, bias=bias, dtype=dtype)):
        torch.testing.assert_close(events, dense)


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("padding", [(0, 0), (2, 1), (5, 4)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (1, 3)])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 2), (2, 5)])
def test_every_geometry(stride, padding, dilation, kernel, kernels):
    assert_agrees_in_both_layouts(nn.Conv2d(4, 6, kernel, stride, padding, dilation))
    assert kernels == BOTH * 2


# Torch itself warns that it copies the input there.
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths:UserWarning")
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("kernel", "dilation"), [((3, 3), (1, 2)), ((2, 3), (2, 1)), ((2, 3), (1, 1))])
def test_padding_by_name(padding, kernel, dilation, kernels):
    assert_agrees_in_both_layouts(nn.Conv2d(4, 6, kernel, padding=padding, dilation=dilation))
    # One zero more on one side than on the other is left to torch.
    lopsided = padding == "same" and any(d * (size - 1) % 2 for d, size in zip(dilation, kernel, strict=True))
    assert kernels == ([] if lopsided else BOTH * 2)


def assert_agrees_in_both_layouts(dense):
    torch.manual_seed(0)
    x = spikes((2, 4, 13, 16), 0.2, torch.float64) * torch.randn(2, 4, 13, 16, dtype=torch.float64)
    for layout in (torch.contiguous_format, torch.channels_last):
        for expected, got in both(x.contiguous(memory_format=layout), dense.double()):
            assert expected.abs().max() > 0
            torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("images", "channels", "outputs", "size"), [(1, 64, 130, 8), (40, 2, 16, 34), (17, 33, 257, 5), (3, 5, 1, 64)]
)
def test_every_size_of_tile_band_and_group(images, channels, outputs, size, kernels):
    torch.manual_seed(0)
    active = spikes((images, channels, size, size), 0.2, torch.float64) * torch.randn(images, channels, size, size)
    for dense, events in both(active, nn.Conv2d(channels, outputs, 3, padding=1).double()):
        # Tens of thousands of terms of about one.
        torch.testing.assert_close(events, dense, rtol=1e-12, atol=1e-11)
    # In float32 fewer of them: the bound is that of a thousand terms.
    x = (active * spikes(active.shape, 0.25)).float()
    for dense, events in both(x, nn.Conv2d(channels, outputs, 3, padding=1)):
        torch.testing.assert_close(events, dense, **LONG_SUMS)
    assert kernels == BOTH * 2


def test_the_same_bits_on_any_number_of_threads(kernels):
    torch.manual_seed(0)
    x, layer = spikes((50, 8, 16, 16)), tdn.EventConv2d(8, 40, 3, padding=1, most_active=1)

    def run():
        y = layer(x)
        return y, torch.autograd.grad(y.square().sum(), layer.weight)[0]

    results = on_threads(run)
    for others in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], others, strict=True))


def test_gradients_in_double_precision(kernels):
    torch.manual_seed(0)
    x = (spikes((2, 2, 5, 4), 0.4, torch.float64) * torch.randn(2, 2, 5, 4, dtype=torch.float64)).requires_grad_()
    layer = tdn.EventConv2d(2, 3, 3, padding=1, most_active=1, dtype=torch.float64)

    def run(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,)).sin()

    assert torch.autograd.gradcheck(run, (x, layer.weight, layer.bias))
    assert torch.autograd.gradgradcheck(run, (x, layer.weight, layer.bias))
    assert ("convolution_weights", True) in kernels


def test_values_that_are_no_numbers_reach_what_they_reach_in_the_dense_one(kernels):
    torch.manual_seed(0)
    for value in (float("inf"), float("nan")):
        x = spikes((2, 3, 9, 9))
        x[0, 1, 0, 0], x[1, 2, 4, 8] = value, value
        # The gradient of the input does not depend on the input.
        for dense, events in list(both(x, nn.Conv2d(3, 16, 3, padding=1)))[:1]:
            assert not dense.isfinite().all()
            torch.testing.assert_close(events, dense, equal_nan=True)


def test_memory_of_weight_gradient_and_output(kernels):
    layer = tdn.EventConv2d(4, 20, 3, most_active=1)
    y = layer(spikes((2, 4, 9, 9)))
    y.sum().backward()
    assert layer.weight.is_contiguous()
    assert layer.weight.grad.is_contiguous()
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_a_weight_laid_out_anew_is_still_right(kernels):
    torch.manual_seed(0)
    dense, x = nn.Conv2d(4, 20, 3), spikes((2, 4, 9, 9))
    layer = tdn.EventConv2d(4, 20, 3, most_active=1)
    layer.load_state_dict(dense.state_dict())
    for twin in (layer, copy.deepcopy(layer), layer.to(memory_format=torch.channels_last)):
        torch.testing.assert_close(twin(x), dense(x))
    layer.weight = nn.Parameter(dense.weight.detach().clone())
    torch.testing.assert_close(layer(x), dense(x))
    assert len(kernels) == 4


def test_an_active_input_takes_the_dense_convolution(kernels):
    torch.manual_seed(0)
    dense, full = nn.Conv2d(4, 20, 3, padding=1), torch.rand(3, 4, 9, 9)
    for expected, got in both(full, dense, most_active=0.2):
        torch.testing.assert_close(got, expected)
    assert kernels == [("convolution", False), ("convolution_weights", False)]


def test_small_layers_take_the_dense_convolution(monkeypatch):
    monkeypatch.setattr(module, "event_conv2d", None)  # would fail if it were called
    tdn.EventConv2d(64, 8, 3)(spikes((50, 64, 16, 16)))
    tdn.EventConv2d(4, 16, 3)(spikes((2, 4, 9, 9)))
    tdn.EventConv2d(16, 32, 3, most_active=0)(spikes((20, 16, 16, 16)))


def test_elsewhere_the_dense_convolution_is_taken(kernels):
    layer, x = tdn.EventConv2d(4, 16, 3), spikes((2, 4, 9, 9))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert layer(x[0]).shape == (16, 7, 7)  # one image without an axis for the batch
    assert layer(x[:0]).shape == (0, 16, 7, 7)
    with pytest.raises(ValueError, match="EventConv2d: expected an input of width"):
        layer(x[:, :3])
    with pytest.raises(RuntimeError, match="ernel size"):
        layer(x[..., :2])
    for other in (
        nn.Conv2d(4, 16, 3, groups=2),
        nn.Conv2d(4, 16, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(4, 16, (2, 3), padding="same"),
    ):
        torch.testing.assert_close(tdn.EventConv2d.from_conv2d(copy.deepcopy(other), most_active=1)(x), other(x))
    assert layer.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    assert not kernels


def test_without_a_compiler_the_dense_convolution_is_taken(monkeypatch, kernels):
    monkeypatch.setattr(event_product, "header_library", lambda names, dtype: None)
    dense, x = nn.Conv2d(4, 20, 3), spikes((2, 4, 9, 9))
    for expected, got in both(x, dense):
        torch.testing.assert_close(got, expected)
    assert kernels == [("convolution", False), ("convolution_weights", False)]


def test_compiled_by_torch(kernels):
    torch.manual_seed(0)
    layer, x = tdn.EventConv2d(4, 20, 3), spikes((2, 4, 9, 9))
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    results = [torch.autograd.grad(run(x).square().sum(), list(layer.parameters())) for run in (layer, compiled)]
    for plain, by_torch in zip(*results, strict=True):
        assert plain.abs().max() > 0
        torch.testing.assert_close(by_torch, plain)
    assert kernels == BOTH * 2


def test_many_gradients_at_once(kernels):
    torch.manual_seed(0)
    layer, x = tdn.EventConv2d(4, 20, 3, most_active=1).double(), spikes((2, 4, 9, 9), dtype=torch.float64)
    y = layer(x)
    arriving = torch.randn(3, *y.shape, dtype=y.dtype)
    together = torch.autograd.grad(y, layer.weight, arriving, is_grads_batched=True, retain_graph=True)[0]
    single = [torch.autograd.grad(y, layer.weight, one, retain_graph=True)[0] for one in arriving]
    torch.testing.assert_close(together, torch.stack(single))


def test_a_spiking_network_trains_with_it_as_with_dense_layers(kernels):
    torch.manual_seed(0)
    dense = nn.Sequential(
        tdn.Stepwise(nn.Conv2d(2, 16, 3, padding=1)),
        tdn.LIF(5.0),
        tdn.Stepwise(nn.Sequential(nn.Conv2d(16, 16, 3, stride=2), nn.Flatten(), nn.Linear(16 * 9, 4))),
        tdn.LeakyIntegrator(tau_mem=5.0),
    )
    with torch.no_grad():
        dense[0].module.weight.mul_(30)
    events = propagate_events(copy.deepcopy(dense), most_active=1)
    assert [type(layer) for layer in events[2].module] == [tdn.EventConv2d, nn.Flatten, tdn.EventLinear]
    x = spikes((12, 3, 2, 8, 8), 0.1)
    losses = [loss_after_training(model, x) for model in (dense, events)]
    assert dense[1](dense[0](x)).mean() > 0.01
    assert len(kernels) == 12
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(events[0].module.weight, dense[0].module.weight, **LONG_SUMS)


@pytest.mark.parametrize("most_active", [-0.1, 1.5, float("nan")])
def test_a_share_out_of_bounds_raises(most_active):
    with pytest.raises(ValueError, match="from 0 to 1"):
        tdn.EventConv2d(2, 3, 3, most_active=most_active)
