"""The norms over time against their formulas in NumPy."""

import copy

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.layers import BatchNormThroughTime, TemporalEffectiveBatchNorm, ThresholdBatchNorm

STEPS, ROWS, CHANNELS, EPS, MOMENTUM = 5, 4, 3, 1e-3, 0.2
SHAPES = [(), (2, 3)]
"""Of a frame behind its channels."""


def data(shape, steps=STEPS):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(steps, ROWS, CHANNELS, *shape))
    # Neither centred nor of one scale: each step and channel has its own.
    return x * rng.uniform(0.5, 3, (steps, 1, CHANNELS, *[1] * len(shape))) + rng.normal(size=(steps, 1, 1)).reshape(
        steps, *[1] * (x.ndim - 1)
    )


def axes(x, *kept):
    return tuple(axis for axis in range(x.ndim) if axis not in kept)


def broad(x, values, *kept):
    """Values of some axes of ``x`` so that they broadcast to it."""
    return values.reshape([size if axis in kept else 1 for axis, size in enumerate(x.shape)])


def normalized(x, *kept):
    mean, var = x.mean(axes(x, *kept), keepdims=True), x.var(axes(x, *kept), keepdims=True)
    return (x - mean) / np.sqrt(var + EPS)


def filled(layer):
    """A layer with weights that all differ."""
    rng = np.random.default_rng(1)
    for parameter in layer.parameters():
        parameter.data = torch.tensor(rng.uniform(0.5, 1.5, parameter.shape))
    return layer.double()


@pytest.mark.parametrize("shape", SHAPES)
def test_threshold_batch_norm(shape):
    x = data(shape)
    layer = ThresholdBatchNorm(CHANNELS, v_th=0.5, alpha=0.5, eps=EPS, momentum=MOMENTUM).double()
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), 0.25 * normalized(x, 2), rtol=1e-10, atol=1e-12)
    count = x.size / CHANNELS
    mean, var = MOMENTUM * x.mean(axes(x, 2)), 1 - MOMENTUM + MOMENTUM * x.var(axes(x, 2)) * count / (count - 1)
    expected = 0.25 * (x - broad(x, mean, 2)) / np.sqrt(broad(x, var, 2) + EPS)
    np.testing.assert_allclose(layer.eval()(torch.tensor(x)).detach(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_temporal_effective_batch_norm(shape):
    x, layer = data(shape), filled(TemporalEffectiveBatchNorm(CHANNELS, STEPS, eps=EPS, momentum=MOMENTUM))
    gamma, beta, p = (value.detach().numpy() for value in (layer.norm.weight, layer.norm.bias, layer.scale))
    expected = broad(x, p, 0) * (broad(x, gamma, 2) * normalized(x, 2) + broad(x, beta, 2))
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_through_time(shape):
    x, layer = data(shape), filled(BatchNormThroughTime(CHANNELS, STEPS, eps=EPS, momentum=MOMENTUM))
    gamma = broad(x, layer.weight.detach().numpy(), 0, 2)
    np.testing.assert_allclose(layer(torch.tensor(x)).detach(), gamma * normalized(x, 0, 2), rtol=1e-10, atol=1e-12)
    count = x[0, :, 0].size
    mean = MOMENTUM * x.mean(axes(x, 0, 2), keepdims=True)
    var = 1 - MOMENTUM + MOMENTUM * x.var(axes(x, 0, 2), keepdims=True) * count / (count - 1)
    y = layer.eval()(torch.tensor(x)).detach()
    np.testing.assert_allclose(y, gamma * (x - mean) / np.sqrt(var + EPS), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", [TemporalEffectiveBatchNorm, BatchNormThroughTime])
def test_behind_the_last_step_that_is_known_the_last_one_stands(kind):
    layer, x = filled(kind(CHANNELS, 2)), torch.tensor(data((), 4))
    layer(x[:2])
    layer.eval()
    y, state = layer.scan(x)
    second = layer.scan(x[1:2], layer.scan(x[:1])[1])[0]
    assert_close(y[1:2], second, rtol=0, atol=0)
    repeated = layer.scan(x[1:2].expand(3, *x.shape[1:]), layer.scan(x[:1])[1])[0]
    assert (repeated == repeated[0]).all()
    assert state.step.tolist() == [4] * ROWS


def test_through_time_in_training_goes_on_and_refuses_what_it_cannot_count():
    layer, x = filled(BatchNormThroughTime(CHANNELS, STEPS)), torch.tensor(data(()))
    other = copy.deepcopy(layer)
    whole = layer(x)
    first, state = other.scan(x[:2])
    assert_close(torch.cat([first, other.scan(x[2:], state)[0]]), whole)
    assert_close(dict(other.named_buffers()), dict(layer.named_buffers()))
    with pytest.raises(ValueError, match=r"expected at most 5 steps while it trains, got 7; build it with steps=7"):
        other.scan(x, state)
    with pytest.raises(ValueError, match="expected all rows at the same step while it trains"):
        other.scan(x[:1], type(state)(torch.arange(ROWS)))


@pytest.mark.parametrize("kind", [ThresholdBatchNorm, TemporalEffectiveBatchNorm, BatchNormThroughTime])
def test_inside_a_chain_in_pieces_in_bfloat16_and_for_wrong_channels(kind):
    steps = () if kind is ThresholdBatchNorm else (STEPS,)
    chain = tdn.Chain(kind(CHANNELS, *steps), tdn.LIF(2.0), tdn.LeakyIntegrator()).eval()
    x = torch.tensor(data((2,)), dtype=torch.float32)
    whole, _ = chain.scan(x)
    first, state = chain.scan(x[:2])
    assert_close(torch.cat([first, chain.scan(x[2:], state)[0]]), whole, rtol=0, atol=0)
    live = tdn.Streaming(torch.nn.Sequential(*chain))
    assert_close(torch.stack([live.step(x_t) for x_t in x]), whole)
    assert whole.std() > 0
    low = chain.train().to(torch.bfloat16)(x.bfloat16())
    assert low.dtype == torch.bfloat16
    assert low.isfinite().all()
    with pytest.raises(ValueError, match=r"expected frames \[B, 3, \*\], got shape \((20|4), 2, 2\); give it as many"):
        chain(x[:, :, :2].bfloat16())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [ThresholdBatchNorm, TemporalEffectiveBatchNorm, BatchNormThroughTime])
def test_of_padded_sequences_the_real_frames_count_alone(kind, shape):
    lengths, x = np.array([5, 2, 4, 1]), data(shape)
    real = np.arange(STEPS)[:, None] < lengths
    x[~real] = 100.0
    expected, mean = np.zeros_like(x), np.zeros((STEPS, CHANNELS))
    for t in range(STEPS):
        frames = x[real] if kind is not BatchNormThroughTime else x[t][real[t]]
        mean[t] = frames.mean(axes(frames, 1))
        var = broad(frames, frames.var(axes(frames, 1)), 1)
        expected[t][real[t]] = (x[t][real[t]] - broad(frames, mean[t], 1)) / np.sqrt(var + EPS)
    steps = () if kind is ThresholdBatchNorm else (STEPS,)
    layer = kind(CHANNELS, *steps, eps=EPS, momentum=MOMENTUM).double()
    given = torch.tensor(x, requires_grad=True)
    with tdn.padded(torch.tensor(lengths)):
        y = layer(given)
    np.testing.assert_allclose(y.detach()[real], expected[real], rtol=1e-9, atol=1e-9)
    assert y.detach()[~real].eq(0).all()
    y.square().sum().backward()
    assert given.grad[~real].eq(0).all()
    running = dict(layer.named_buffers())[
        "running_mean" if kind is BatchNormThroughTime else next(n for n, _ in layer.named_buffers() if "mean" in n)
    ]
    # The last step of one row without pixels has a single value, which says nothing of a mean or a variance.
    counted = STEPS if shape else STEPS - 1
    expected_mean = MOMENTUM * mean if kind is BatchNormThroughTime else MOMENTUM * mean[0]
    np.testing.assert_allclose(running[:counted], expected_mean[:counted], rtol=1e-9)
