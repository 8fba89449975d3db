import copy

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.encoding import DirectCurrent
from torchdyn_neuro.models import SpikingConvNet, SpikingPerceptron

MODELS = [
    lambda **kw: SpikingPerceptron((1, 8, 8), 10, hidden=[32, 16], **kw),
    lambda **kw: SpikingConvNet((1, 8, 8), 10, channels=[8], hidden=16, **kw),
]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_calibration_wakes_every_layer(make, norm):
    torch.manual_seed(0)
    # A neuron in mV and nA-like units: 20 mV to the threshold, 0.1 mV per unit of current.
    model = make(norm=norm, neuron=tdn.LIF(v_rest=-70.0, v_th=-50.0, R=0.1), synapse=tdn.ExponentialSynapse())
    report = model.calibrate(DirectCurrent(8)(torch.rand(16, 1, 8, 8)), 100.0)
    assert len(report) == 2
    assert all(100 <= layer.rate < 200 for layer in report), report


@pytest.mark.parametrize("make", MODELS)
def test_static_input_takes_the_short_way_to_the_same_result(make):
    torch.manual_seed(0)
    model = make().eval()
    x = DirectCurrent(6)(torch.rand(4, 1, 8, 8))
    model.calibrate(x)
    torch.testing.assert_close(model(x), model(x.contiguous()))


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("rows", [1, 4])
def test_static_input_trains_a_batch_norm_as_the_whole_sequence_does(make, rows):
    torch.manual_seed(0)
    static = DirectCurrent(6)(torch.rand(rows, 1, 8, 8, dtype=torch.float64))
    assert static.stride(0) == 0
    one = make().double()
    other = copy.deepcopy(one)
    one(static).square().sum().backward()
    other(static.contiguous()).square().sum().backward()
    for (name, a), b in zip(one.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(a, b, msg=name)
    for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-9, msg=name)


def test_wrong_shape_and_norm():
    with pytest.raises(ValueError, match=r"expected an input \[T, B, 1, 8, 8\], got shape \(4, 2, 64\)"):
        MODELS[0]()(torch.zeros(4, 2, 64))
    with pytest.raises(ValueError, match="norm"):
        MODELS[0](norm="batsh")
    with pytest.raises(ValueError, match="fewer channels"):
        SpikingConvNet((1, 4, 4), 10, channels=[1, 2, 3])
