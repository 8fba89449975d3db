import copy
import warnings

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.compression import quantize_products

torchao = pytest.importorskip("torchao", reason="needs the extra quantization")


@pytest.mark.filterwarnings("ignore")  # of torchao
def test_linear_layers_multiply_whole_numbers_and_loops_stay():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(16, 32), tdn.Recurrent(tdn.LIF(tau_mem=5.0), nn.Linear(32, 32)), nn.Linear(32, 2)
    ).eval()
    small = copy.deepcopy(net)
    assert quantize_products(small) == ["0", "2"]
    assert type(small[1].connection.weight) is nn.Parameter
    x = (torch.rand(20, 3, 16) < 0.4).float() * 4
    with torch.no_grad():
        # Half a step of each, 255 steps from the largest to its negative.
        weight = net[0].weight
        of_x, of_w = x.abs().amax(-1, keepdim=True) / 255, weight.abs().amax(1) / 255
        bound = x.abs().sum(-1, keepdim=True) * of_w + of_x * weight.abs().sum(1) + 16 * of_x * of_w
        assert ((small[0](x) - net[0](x)).abs() <= bound + 1e-5).all()
        assert (small[0](x) - net[0](x)).abs().max() > 1e-4
        assert small(x).isfinite().all()


def test_what_has_no_such_layer_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="outside of recurrent layers, got none"):
            quantize_products(tdn.Recurrent(tdn.LIF(), nn.Linear(4, 4)))
