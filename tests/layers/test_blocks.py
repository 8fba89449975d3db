"""Blocks against their equations, written with NumPy and torch's functions; fused as eager; alive after calibration."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.layers import (
    AdLIFPopulation,
    ALIFPopulation,
    LIFPopulation,
    MSBlock,
    RecurrentBlock,
    SEWBlock,
    SpikformerBlock,
    SpikingSelfAttention,
)

STEPS, ROWS, TAU = 6, 2, 2.0


def lif(current):
    """Leaky integrate-and-fire in NumPy: exact for a constant current, reset by subtraction."""
    v, leak, spikes = np.zeros(current.shape[1:]), np.exp(-1 / TAU), []
    for now in current.detach().numpy():
        v = leak * v + (1 - leak) * now
        spikes.append((v >= 1).astype(float))
        v = v - spikes[-1]
    return torch.tensor(np.stack(spikes))


def normed(x, parts, conv="conv", norm="norm"):
    """Convolution and batch norm in training mode, of all frames at once."""
    conv, norm = getattr(parts, conv).module, getattr(parts, norm).module
    frames = x.flatten(0, 1)
    run = functional.conv2d if conv.weight.ndim == 4 else functional.conv1d
    y = run(frames, conv.weight, conv.bias, conv.stride, conv.padding).detach().numpy()
    axes = (0, *range(2, y.ndim))
    y = (y - y.mean(axes, keepdims=True)) / np.sqrt(y.var(axes, keepdims=True) + 1e-5)
    shape = [1, -1, *[1] * (y.ndim - 2)]
    y = norm.weight.detach().reshape(shape) * torch.tensor(y) + norm.bias.detach().reshape(shape)
    return y.unflatten(0, x.shape[:2])


def random_weights(module):
    """All scales large enough that every layer spikes, and no two alike."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.uniform_(part.weight, 2.0, 4.0)
            nn.init.uniform_(part.bias, 0.5, 1.5)
    return module.double()


def spikes(*shape):
    torch.manual_seed(1)
    return (torch.rand(STEPS, ROWS, *shape, dtype=torch.float64) < 0.4).double()


def neuron():
    return tdn.LIF(TAU)


@pytest.mark.parametrize("connect", ["add", "and", "iand"])
@pytest.mark.parametrize("stride", [1, 2])
def test_sew_block(connect, stride):
    block = random_weights(SEWBlock(3, 3 * stride, stride=stride, neuron=neuron(), connect=connect))
    x = spikes(3, 4, 4)
    branch = lif(normed(lif(normed(x, block.branch, "conv0", "norm0")), block.branch, "conv1", "norm1"))
    shortcut = x if stride == 1 else lif(normed(x, block.shortcut))
    expected = {"add": branch + shortcut, "and": branch * shortcut, "iand": (1 - branch) * shortcut}[connect]
    assert 0.05 < branch.mean() < 0.95
    assert_close(block(x), expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_ms_block(stride):
    block = random_weights(MSBlock(3, 3 * stride, stride=stride, neuron=neuron()))
    x = 3 * torch.rand(STEPS, ROWS, 3, 4, 4, dtype=torch.float64)
    branch = normed(lif(normed(lif(x), block.branch, "conv0", "norm0")), block.branch, "conv1", "norm1")
    assert_close(block(x), branch + (x if stride == 1 else normed(x, block.shortcut)))


@pytest.mark.parametrize("tokens", [2, 9], ids=["few tokens", "many tokens"])
def test_spiking_self_attention(tokens):
    layer, x = random_weights(SpikingSelfAttention(8, 2, neuron=neuron(), scale=2.0)), spikes(8, tokens)
    query, key, value = (
        lif(normed(x, part, "linear")).unflatten(2, (2, 4)) for part in (layer.query, layer.key, layer.value)
    )
    # Token n attends to token m in head h by the coincidences of query and key.
    scores = torch.einsum("tbhdn,tbhdm->tbhnm", query, key)
    attended = lif(2.0 * torch.einsum("tbhnm,tbhdm->tbhdn", scores, value).flatten(2, 3))
    assert 0.05 < attended.mean() < 0.95
    assert_close(layer(x), lif(normed(attended, layer.project, "linear")))
    with pytest.raises(ValueError, match="expected heads to divide the 8 features, got 3"):
        SpikingSelfAttention(8, 3)


def test_spikformer_block_adds_twice():
    block, x = random_weights(SpikformerBlock(8, 2, neuron=neuron(), expansion=2)), spikes(8, 3)
    between = x + block.attention(x)
    hidden = lif(normed(between, block.mlp.widen, "linear"))
    assert_close(block(x), between + lif(normed(hidden, block.mlp.narrow, "linear")))


def test_recurrent_block():
    torch.manual_seed(0)
    block = RecurrentBlock(5, 4, neuron(), dropout=0.0).double()
    back, x = block.neuron.connection.weight.detach(), torch.rand(STEPS, ROWS, 5, dtype=torch.float64)
    assert_close(back @ back.T, 0.04 * torch.eye(4, dtype=torch.float64))
    drive = (x @ block.linear.weight.T).detach().numpy()
    drive = 3 * (drive - drive.mean((0, 1))) / np.sqrt(drive.var((0, 1)) + 1e-5)
    v, s, leak, expected = np.zeros((ROWS, 4)), np.zeros((ROWS, 4)), np.exp(-1 / TAU), []
    for now in drive:
        v = leak * v + (1 - leak) * (now + s @ back.numpy().T)
        s = (v >= 1).astype(float)
        v = v - s
        expected.append(s)
    assert 0.05 < np.mean(expected) < 0.95
    assert_close(block(x), torch.tensor(np.stack(expected)))


@pytest.mark.parametrize("population", [LIFPopulation, ALIFPopulation, AdLIFPopulation])
def test_a_recurrent_block_fires_from_the_start(population):
    torch.manual_seed(0)
    block = RecurrentBlock(40, 64, population(dt=10.0))
    with tdn.backend("eager"):
        (layer,) = tdn.activity_report(block, (torch.rand(50, 8, 40) < 0.1).float())
    assert 4 < layer.rate < 40
    assert layer.silent < 0.1
    assert block.neuron.dt == 10.0


def test_populations_differ_within_their_ranges():
    torch.manual_seed(0)
    tau = LIFPopulation((10.0, 60.0))(3000).tau_mem
    assert (tau.low, tau.high) == (10.0, 60.0)
    assert abs(tau().mean().item() - 35) < 1.5  # 4.5 standard errors
    assert tau().std().item() == pytest.approx(50 / 12**0.5, rel=0.05)
    cell = AdLIFPopulation(dt=2.0, a=(0.2, 1.0), b=(0.5, 2.0))(3000)
    printed = cell.a() * (1 - torch.exp(-2.0 / cell.tau_w())), cell.b() / cell.tau_w()
    for values, (low, high) in zip(
        (cell.tau_mem(), cell.tau_w(), *printed), ((10, 50), (60, 240), (0.2, 1), (0.5, 2)), strict=True
    ):
        assert low < values.min() < low + 0.05 * (high - low)
        assert high > values.max() > high - 0.05 * (high - low)
    jumps = (cell := ALIFPopulation(jump=(0.1, 0.3))(500)).beta() / cell.tau_a()
    assert 0.1 <= jumps.min() < 0.11 < 0.29 < jumps.max() <= 0.3
    assert LIFPopulation()(3, 1, 1)(torch.ones(4, 2, 3, 5, 5)).shape == (4, 2, 3, 5, 5)
    with pytest.raises(ValueError, match=r"LIFPopulation: expected tau_mem to be a range, got \(60.0, 10.0\); put the"):
        LIFPopulation((60.0, 10.0))


BLOCKS = {
    "sew": (lambda: SEWBlock(2, 4, stride=2), (2, 4, 4)),
    "ms": (lambda: MSBlock(2, 4, stride=2, norm="threshold"), (2, 4, 4)),
    "attention": (lambda: SpikingSelfAttention(8, 2), (8, 4)),
    "recurrent": (lambda: RecurrentBlock(8, 8, dropout=0.0), (8,)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_fused_as_eager_and_alive_in_bfloat16(name):
    make, shape = BLOCKS[name]
    torch.manual_seed(0)
    block, x = make(), torch.cat([2 * spikes(*shape), spikes(*shape)]).float()
    with tdn.backend("eager"):
        report = tdn.calibrate(block, x, rate=100.0)
    assert all(90 < layer.rate < 320 for layer in report), report
    runs = []
    for backend in ("eager", "auto"):
        one = copy.deepcopy(block)
        with tdn.backend(backend):
            y = one(x)
            (y * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum().backward()
        runs.append((y.detach(), [parameter.grad for parameter in one.parameters()]))
    assert_close(runs[1], runs[0], rtol=1e-4, atol=1e-5)
    assert sum(gradient.abs().sum() for gradient in runs[0][1]) > 0
    with tdn.backend("eager"):
        assert block.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
