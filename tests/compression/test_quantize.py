import copy

import pytest
import torch
import torch.nn.utils.prune
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.compression import bits_of, prune, quantize


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("layer", [nn.Linear(9, 5), nn.Conv2d(2, 3, 3), tdn.EventLinear(9, 5)])
def test_each_weight_is_the_nearest_multiple_of_the_scale_of_its_output(layer, bits):
    layer = copy.deepcopy(layer)
    before = layer.weight.detach().double()
    before[0] = 0
    with torch.no_grad():
        layer.weight[0] = 0
    quantize(layer, bits)
    most = 2 ** (bits - 1) - 1
    for w, q in zip(before, layer.weight.double(), strict=True):
        scale = w.abs().max() / most if w.any() else torch.tensor(1.0)
        torch.testing.assert_close(q, scale * (w / scale).round(), rtol=1e-5, atol=1e-7)
    assert layer.parametrizations.weight.original0.dtype is torch.int8
    assert layer.parametrizations.weight.original0.abs().max() == most


def test_a_recurrent_network_runs_fused_as_its_dequantized_twin():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(6, 8), tdn.Recurrent(tdn.LIF(tau_mem=5.0), nn.Linear(8, 8)), nn.Linear(8, 2), tdn.LeakyIntegrator()
    )
    twin = copy.deepcopy(net)
    quantize(net)
    assert list(bits_of(net)) == ["0", "1.connection", "2"]
    with torch.no_grad():
        for name in bits_of(net):
            twin.get_submodule(name).weight.copy_(net.get_submodule(name).weight)
    x = 4 * torch.rand(20, 3, 6)
    assert torch.equal(net(x), twin(x))
    with tdn.backend("eager"):
        torch.testing.assert_close(net(x), twin(x))
    assert not any(value.requires_grad for name, value in net.named_parameters() if "original" in name)


def test_what_follows_from_another_weight_or_is_plastic_is_refused():
    with pytest.raises(ValueError, match="expected layers with weights, got none"):
        quantize(tdn.LIF())
    with pytest.raises(ValueError, match=r"1 \(Linear\), whose weight follows from another"):
        quantize(nn.Sequential(nn.Linear(2, 2), tdn.sparse(nn.Linear(2, 2), 0.5)))
    with pytest.raises(ValueError, match="is moved by a plasticity rule"):
        quantize(tdn.Chain(tdn.Plastic(nn.Linear(2, 2), tdn.Oja()), tdn.LIF()))
    with pytest.raises(ValueError, match="from 2 to 8, got 9"):
        quantize(nn.Linear(2, 2), 9)


def test_weights_that_are_not_finite_are_refused():
    for value in (float("nan"), float("inf")):
        layer = nn.Linear(3, 2)
        layer.weight.data[0, 1] = value
        with pytest.raises(ValueError, match=r"expected finite weights, got NaN or infinity in the model \(Linear\)"):
            quantize(layer)
        with pytest.raises(ValueError, match="expected finite weights"):
            prune(layer, 0.5)


def test_what_scales_elements_stays_as_it_is():
    norms = [nn.LayerNorm((2, 2)), tdn.layers.BatchNormThroughTime(4, steps=2), tdn.OneToOne((2, 2))]
    model = nn.Sequential(nn.Linear(4, 4), *norms)
    assert list(bits_of(quantize(copy.deepcopy(model)))) == ["0"]
    assert list(prune(model, 1.0)) == ["0"]
    assert all(norm.weight.all() for norm in norms)


def test_a_weight_under_a_hook_or_quantized_already_is_refused():
    masked = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    torch.nn.utils.prune.l1_unstructured(masked[0], "weight", 0.5)
    with pytest.raises(ValueError, match=r"0 \(Linear\), whose weight is made by a hook; make it final"):
        quantize(masked)
    torch.nn.utils.prune.remove(masked[0], "weight")
    assert list(bits_of(quantize(masked))) == ["0", "1"]
    for again in (quantize, lambda model: prune(model, 0.5)):
        with pytest.raises(ValueError, match="is quantized already; prune first and quantize last and once"):
            again(masked)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_weights_are_the_nearest_multiples_of_their_scale(dtype):
    torch.manual_seed(0)
    layer = nn.Linear(200, 50).to(dtype)
    before = layer.weight.detach().double()
    numbers, scale = quantize(layer).parametrizations.weight.parameters()
    assert scale.dtype is dtype
    # A quotient of float32 may fall on a half that it is not.
    torch.testing.assert_close(numbers.double(), (before / scale.double()).clamp(-127, 127), rtol=0, atol=0.5 + 1e-5)
