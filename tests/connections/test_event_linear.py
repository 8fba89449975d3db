"""Gathered columns, forward and backward, against the dense product."""

import copy

import pytest
import torch
import torch.nn.utils.prune
from torch import nn
from torch.nn import functional

import torchdyn_neuro as tdn
from torchdyn_neuro.connections import event_linear as module
from torchdyn_neuro.sparse import event_product

from ..threads import on_threads
from .by_events import LONG_SUMS, count_kernels, loss_after_training, results_of_both, sized, spikes


@pytest.fixture
def gathers(monkeypatch):
    return count_kernels(monkeypatch, module, event_product)


def both(x, dense, most_active=1.0):
    return results_of_both(x, dense, lambda twin: tdn.EventLinear.from_linear(twin, most_active=most_active))


@pytest.mark.parametrize("kind", ["spikes", "counts", "graded"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_dense_product(kind, bias, dtype, gathers):
    torch.manual_seed(0)
    active = spikes((20, 3, 60), dtype=dtype)
    active[4] = 0  # a frame without any spike, and the last row of all too
    active[-1, -1] = 0
    x = sized(active, kind)
    for dense, gathered in both(x, nn.Linear(60, 17, bias=bias, dtype=dtype)):
        torch.testing.assert_close(gathered, dense)
    assert gathers == [("product", True), ("outer_product", True)]
    silent = torch.zeros(2, 60, dtype=dtype)
    for dense, gathered in both(silent, nn.Linear(60, 17, bias=bias, dtype=dtype)):
        torch.testing.assert_close(gathered, dense)


@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 700, 33), (65, 9, 1), (600, 40, 300), (1300, 128, 257)])
def test_every_size_of_tile_and_chunk(rows, inputs, outputs, gathers):
    torch.manual_seed(0)
    x = spikes((rows, inputs), 0.2) * torch.randn(rows, inputs)
    for dense, gathered in both(x, nn.Linear(inputs, outputs)):
        torch.testing.assert_close(gathered, dense, **LONG_SUMS)
    assert all(ran for _, ran in gathers)


def test_a_row_wider_than_a_chunk_of_rows_holds(gathers):
    torch.manual_seed(0)
    x = spikes((5, 9000), 0.01)
    for dense, gathered in both(x, nn.Linear(9000, 3)):
        torch.testing.assert_close(gathered, dense, **LONG_SUMS)
    assert len(gathers) == 2


def test_the_same_bits_on_any_number_of_threads(gathers):
    torch.manual_seed(0)
    x, layer = spikes((1000, 300), 0.1), tdn.EventLinear(300, 200, most_active=1)

    def run():
        y = layer(x)
        return y, *torch.autograd.grad(y.square().sum(), list(layer.parameters()))

    results = on_threads(run)
    for others in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0][:2], others[:2], strict=True))


def test_gradients_in_double_precision(gathers):
    torch.manual_seed(0)
    x = (spikes((6, 9), 0.3, torch.float64) * torch.randn(6, 9, dtype=torch.float64)).requires_grad_()
    # Entries that are zero count too: the gradient of the input is dense.
    layer = tdn.EventLinear(9, 5, most_active=1, dtype=torch.float64)

    def run(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,)).sin()

    assert torch.autograd.gradcheck(run, (x, layer.weight, layer.bias))
    assert torch.autograd.gradgradcheck(run, (x, layer.weight, layer.bias))
    assert ("outer_product", True) in gathers


def test_parameters_and_gradients_are_those_of_a_plain_layer(gathers):
    layer = tdn.EventLinear(16, 8, most_active=1)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (16 * 8 + 8,)
    nn.utils.vector_to_parameters(2 * vector.detach(), layer.parameters())
    torch.testing.assert_close(layer.weight.flatten(), 2 * vector[:128])
    layer(spikes((4, 16))).sum().backward()
    assert ("outer_product", True) in gathers
    assert layer.weight.grad.view(-1).shape == (128,)


def test_lbfgs_pruning_and_copies(gathers):
    torch.manual_seed(0)
    layer, x = tdn.EventLinear(6, 3, most_active=1), spikes((40, 6), 0.5)
    wanted = x @ torch.arange(18.0).reshape(6, 3)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=50, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        error = (layer(x) - wanted).square().mean()
        error.backward()
        return error

    optimizer.step(loss)
    torch.testing.assert_close(layer.weight, torch.arange(18.0).reshape(6, 3).t(), rtol=0, atol=0.01)
    torch.testing.assert_close(copy.deepcopy(layer)(x), layer(x))
    nn.utils.prune.l1_unstructured(layer, "weight", amount=0.5)
    torch.testing.assert_close(layer(x), functional.linear(x, layer.weight_orig * layer.weight_mask, layer.bias))
    assert (layer.weight == 0).sum() >= 9


def test_an_active_input_takes_the_dense_product(gathers):
    torch.manual_seed(0)
    layer, full = tdn.EventLinear(256, 256, most_active=0.2), torch.rand(100, 256)
    y = layer(full)
    y.sum().backward()
    assert gathers == [("product", False), ("outer_product", False)]
    torch.testing.assert_close(y, functional.linear(full, layer.weight, layer.bias))
    torch.testing.assert_close(layer.weight.grad, full.sum(0).expand(256, 256))


def test_small_layers_and_frames_take_the_dense_product(monkeypatch):
    monkeypatch.setattr(module, "event_linear", None)  # would fail if it were called
    tdn.EventLinear(1000, 10)(spikes((500, 1000)))
    tdn.EventLinear(100, 100)(spikes((2, 100)))
    tdn.EventLinear(1000, 1000, most_active=0)(spikes((500, 1000)))


def test_elsewhere_the_dense_product_is_taken(gathers):
    layer, x = tdn.EventLinear(64, 64), spikes((10, 4, 64))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert layer.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    layer.float()
    jacobian = torch.func.jacrev(layer)(x[0, :1])
    torch.testing.assert_close(jacobian[0, :, 0], layer.weight)
    with pytest.raises(ValueError, match="EventLinear: expected an input of width"):
        layer(x[..., :-1])
    assert not gathers


def test_without_a_compiler_the_dense_product_is_taken(monkeypatch, gathers):
    monkeypatch.setattr(event_product, "header_library", lambda names, dtype: None)
    layer, x = tdn.EventLinear(64, 64), spikes((50, 4, 64))
    torch.testing.assert_close(layer(x), functional.linear(x, layer.weight, layer.bias))
    assert gathers == [("product", False)]


def test_compiled_by_torch(gathers):
    torch.manual_seed(0)
    layer, x = tdn.EventLinear(64, 64), spikes((50, 4, 64))
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), layer(x))
    compiled(x).sum().backward()
    torch.testing.assert_close(layer.weight.grad, x.sum((0, 1)).expand(64, 64))


def test_a_weight_laid_out_anew_is_still_right(gathers):
    layer = tdn.EventLinear(5, 3, most_active=1)
    layer.weight = nn.Parameter(torch.arange(15.0).reshape(3, 5))
    y = layer(torch.eye(5)[2:3])
    torch.testing.assert_close(y[0], layer.weight[:, 2] + layer.bias)
    y.sum().backward()
    assert torch.equal(layer.weight.grad, torch.eye(5)[2].expand(3, 5))


def test_a_spiking_network_trains_with_it_as_with_dense_layers(gathers):
    torch.manual_seed(0)
    dense = nn.Sequential(nn.Linear(40, 30), tdn.LIF(5.0), nn.Linear(30, 4), tdn.LeakyIntegrator(tau_mem=5.0))
    with torch.no_grad():
        dense[0].weight.mul_(20)
    gathered = copy.deepcopy(dense)
    for k in (0, 2):
        gathered[k] = tdn.EventLinear.from_linear(gathered[k], most_active=1)
    x = spikes((30, 8, 40), 0.1)
    losses = [loss_after_training(model, x) for model in (dense, gathered)]
    assert dense[1](dense[0](x)).mean() > 0.01
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(gathered[0].weight, dense[0].weight, **LONG_SUMS)


@pytest.mark.parametrize("most_active", [-0.1, 1.5, float("nan")])
def test_a_share_out_of_bounds_raises(most_active):
    with pytest.raises(ValueError, match="from 0 to 1"):
        tdn.EventLinear(2, 3, most_active=most_active)
