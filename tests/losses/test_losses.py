"""Each loss against its formula, written out."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from torchdyn_neuro.losses import TET, EveryStep, FirstSpikeCrossEntropy, RateMSE, VanRossumDistance

LABELS = torch.tensor([1, 0])


def outputs():
    return torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))


def train(*steps, length=40):
    spikes = torch.zeros(length, 1, 1, dtype=torch.float64)
    spikes[list(steps)] = 1.0
    return spikes


def test_temporal_efficient_training():
    y = outputs()
    entropy = sum(cross_entropy(y_t, LABELS) for y_t in y) / 5
    assert_close(TET(mixing=0.3, phi=0.7)(y, LABELS), 0.7 * entropy + 0.3 * ((y - 0.7) ** 2).mean())
    assert_close(TET(mixing=0.0)(y, LABELS), EveryStep()(y, LABELS))
    assert (TET(mixing=0.3, phi=0.7).mixing, TET(mixing=0.3, phi=0.7).phi) == (0.3, 0.7)
    with pytest.raises(ValueError, match=r"^TET: expected mixing from 0 to 1, got 2; "):
        TET(mixing=2)


def test_first_spikes():
    spikes = torch.tensor([[0.0, 0, 1], [0, 1, 0], [0, 0, 0]]).unsqueeze(1)
    times = [3 * 2.0, 1 * 2.0, 0.0]
    expected = times[1] / 5 + math.log(sum(math.exp(-time / 5) for time in times))
    assert_close(FirstSpikeCrossEntropy(tau=5.0, dt=2.0)(spikes, torch.tensor([1])), torch.tensor(expected))


def test_rates():
    spikes = (outputs() > 0).float()
    expected = 0.0
    for row, label in enumerate([1, 0]):
        for neuron in range(3):
            expected += (spikes[:, row, neuron].mean().item() - (0.9 if neuron == label else 0.1)) ** 2 / 6
    assert_close(RateMSE(correct=0.9, wrong=0.1)(spikes, LABELS), torch.tensor(expected))


@pytest.mark.parametrize("lag", [0, 1, 7])
def test_a_late_spike(lag):
    distance = VanRossumDistance(tau=4.0, dt=0.5).double()(train(3), train(3 + lag))
    assert_close(distance, torch.tensor(1 - math.exp(-0.5 * lag / 4), dtype=torch.float64))


def test_a_spike_too_many():
    """Wherever it is, also at the last step: the trace fades behind the end."""
    for step in (0, 39):
        assert_close(VanRossumDistance(tau=4.0).double()(train(step), train()), torch.tensor(0.5, dtype=torch.float64))


def test_trains_by_quadrature():
    """Two trains of several spikes, the integral by small steps."""
    a, b, tau = [2, 5, 6, 20], [3, 5, 30], 6.0
    fine = torch.arange(0, 250, 0.005, dtype=torch.float64)
    trace = lambda spikes: sum(torch.where(fine >= t, torch.exp(-(fine - t) / tau), 0.0) for t in spikes)  # noqa: E731
    expected = (trace(a) - trace(b)).square().sum() * 0.005 / tau
    assert_close(VanRossumDistance(tau=tau).double()(train(*a), train(*b)), expected, rtol=2e-3, atol=0)  # rectangles


def test_padded_trains():
    y, target = train(2, 5, 9), train(3, 9)
    y[15:], target[12:] = math.nan, 1.0
    loss = VanRossumDistance(tau=4.0).double()
    expected = loss(train(2, 5, 9, length=12), train(3, 9, length=12))
    assert torch.equal(loss(y, target, torch.tensor([12])), expected)
    both = loss(torch.cat([y, train(1)], 1), torch.cat([target, train()], 1), torch.tensor([12, 40]))
    assert_close(both, (expected + 0.5) / 2)


def test_trains_that_cannot_be_compared():
    with pytest.raises(ValueError, match=r"^VanRossumDistance: expected wanted spikes of the shape of .*got \(40, 1\)"):
        VanRossumDistance()(train(1), train(1)[..., 0])
