import copy

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.compression import bits_of, quantize


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
