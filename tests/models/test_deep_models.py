"""The deeper models: alive after calibration, every parameter learns, fused as eager, what does not fit refused."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.layers import AdLIFPopulation, LIFPopulation
from torchdyn_neuro.models import (
    SpikingDelayNet,
    SpikingPerceptron,
    SpikingRecurrentNet,
    SpikingResNet,
    SpikingTransformer,
    SpikingVGG,
)

SHAPE = (1, 4, 4)
MODELS = {
    "recurrent": lambda: SpikingRecurrentNet(SHAPE, 10, hidden=[16, 12]),
    "adaptive": lambda: SpikingRecurrentNet(SHAPE, 10, hidden=[16], neuron=AdLIFPopulation()),
    "delay": lambda: SpikingDelayNet(SHAPE, 10, hidden=[16, 12]),
    "sew": lambda: SpikingResNet(SHAPE, 10, depths=[1, 1], width=4),
    "ms": lambda: SpikingResNet(SHAPE, 10, depths=[1, 1], width=4, block="ms", norm="threshold"),
    "vgg": lambda: SpikingVGG(SHAPE, 10, stages=[[8], [8, 16]], hidden=[16], dropout=0.2),
    "transformer": lambda: SpikingTransformer(SHAPE, 10, features=32, depth=1, heads=2, expansion=1, poolings=1),
}
LAYERS = {"recurrent": 2, "adaptive": 1, "delay": 2, "sew": 6, "ms": 5, "vgg": 4, "transformer": 9}


@pytest.mark.parametrize("name", MODELS)
def test_starts_alive_and_every_parameter_learns(name):
    torch.manual_seed(0)
    model, x = MODELS[name](), 2 * torch.rand(8, 6, *SHAPE)
    # In attention spikes must meet, which are few in a small net.
    rate = 40.0 if name == "transformer" else 100.0
    with tdn.backend("eager"):
        report = model.calibrate(x, rate)
        y = model(x)
    assert len(report) == LAYERS[name]
    assert all(0.9 * rate < layer.rate < 2.5 * rate for layer in report), report
    assert y.shape == (8, 6, 10)
    nn.functional.cross_entropy(y.amax(0), torch.arange(6)).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize("name", ["recurrent", "delay"])
def test_fused_as_eager(name):
    torch.manual_seed(0)
    model, x = MODELS[name](), 3 * torch.rand(4, 3, *SHAPE)
    with tdn.backend("eager"):
        model.calibrate(x, 60.0)
    model.eval()
    other = copy.deepcopy(model)
    y = model(x)
    y.square().sum().backward()
    with tdn.backend("eager"):
        expected = other(x)
        expected.square().sum().backward()
    assert_close(y, expected, rtol=1e-4, atol=1e-5)
    assert y.std() > 0
    gradients = [[p.grad for p in each.parameters()] for each in (model, other)]
    assert_close(*gradients, rtol=1e-3, atol=1e-4)


def test_the_size_of_a_resnet_18_and_a_vgg_11():
    """The published numbers of weights: convolutions, norms and the last layer, for images of 3 channels."""
    with torch.device("meta"):
        sew, vgg = SpikingResNet((3, 32, 32), 10), SpikingVGG((3, 32, 32), 10, hidden=[])
    resnet = 11_173_962  # of the ResNet-18 for CIFAR: a stem of size 3, shortcuts of size 1
    assert sum(p.numel() for p in sew.parameters()) == resnet
    convolutions = 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 3 * 512 * 512)
    norms = 2 * (64 + 128 + 2 * 256 + 4 * 512)
    assert sum(p.numel() for p in vgg.parameters()) == convolutions + norms + 512 * 10 + 10


def test_annealing_reaches_all_delays():
    model = SpikingDelayNet((5,), 2, hidden=[4, 4], max_delay=16.0)
    delayed = [layer for layer in model.children() if isinstance(layer, tdn.DelayedLinear)]
    for progress, width in ((0.0, 8.0), (0.5, 2.0), (1.0, 0.5)):
        model.anneal(progress)
        assert_close(torch.stack([layer.width for layer in delayed]), torch.full((2,), width))


def test_populations_stand_for_neurons_and_for_the_readout():
    model = SpikingPerceptron(SHAPE, 10, hidden=[32], neuron=LIFPopulation(dt=2.0), readout=LIFPopulation(dt=2.0))
    assert model.neuron0.tau_mem.start.shape == (32,)
    assert model.readout.tau_mem.start.shape == (10,)
    with pytest.raises(TypeError, match="SpikingPerceptron: expected neuron to be dynamics or a population, got 'lif'"):
        SpikingPerceptron(SHAPE, 10, neuron="lif", readout=tdn.LIF())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpikingVGG(SHAPE, 10), r"SpikingVGG: expected images .* 32 pixels a side for 5 poolings, .* fewer"),
        (lambda: SpikingResNet((700,), 10), r"SpikingResNet: expected images .* got input_shape \(700,\)"),
        (lambda: SpikingResNet(SHAPE, 10, block="plain"), "SpikingResNet: expected block to be one of 'sew', 'ms'"),
        (
            lambda: SpikingTransformer(SHAPE, 10, features=15),
            "SpikingTransformer: expected features that can be halved",
        ),
        (lambda: SpikingRecurrentNet((3,), 10)(torch.zeros(4, 2, 5)), r"expected an input \[T, B, 3\]"),
    ],
)
def test_what_does_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()
