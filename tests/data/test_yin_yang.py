"""The Yin-Yang data set against its geometry."""

import math

import pytest
import torch

from torchdyn_neuro.data import YinYang, yin_yang, yin_yang_class


def test_features_and_balance():
    features, labels = yin_yang(1000, seed=3)
    assert features.shape == (1000, 4)
    torch.testing.assert_close(features[:, :2] + features[:, 2:], torch.ones(1000, 2))
    assert (torch.hypot(features[:, 0] - 0.5, features[:, 1] - 0.5) <= 0.5).all()
    assert sorted(labels.bincount().tolist()) == [333, 333, 334]
    assert torch.equal(labels, yin_yang_class(features[:, :2]))
    # Shuffled: the classes of any stretch are mixed.
    assert labels[:30].unique().numel() == 3


def test_areas():
    """Yin and yang are images of each other; the dots are two discs of a fifth of the radius."""
    torch.manual_seed(0)
    point = torch.rand(400_000, 2, dtype=torch.float64)
    inside = torch.hypot(*(point - 0.5).unbind(-1)) <= 0.5
    share = yin_yang_class(point[inside]).bincount() / inside.sum()
    dots = 2 * 0.1**2 / 0.5**2
    expected = torch.tensor([(1 - dots) / 2, (1 - dots) / 2, dots])
    torch.testing.assert_close(share, expected, rtol=0, atol=5 * math.sqrt(0.25 / 300_000))


def test_half_a_turn_swaps_yin_and_yang():
    features, labels = yin_yang(2000, seed=1)
    turned = yin_yang_class(1 - features[:, :2])
    assert torch.equal(turned, torch.tensor([1, 0, 2])[labels])


def test_seeds():
    assert torch.equal(yin_yang(50, seed=1)[0], yin_yang(50, seed=1)[0])
    assert not torch.equal(yin_yang(50, seed=1)[0], yin_yang(50, seed=2)[0])


def test_no_points_raise():
    with pytest.raises(ValueError, match="above 0"):
        yin_yang(0)


def test_latency():
    """The times are those of the features; what has a spike at x has another at 1 - x."""
    data = YinYang(
        dt=0.5, early=2.0, late=12.0, bias=7.0, samples=30, validation_samples=6, test_samples=9, batch_size=9
    )
    [(frames, labels, lengths)] = data.test_dataloader()
    features, classes = yin_yang(9, seed=2)
    assert torch.equal(labels.sort().values, classes.sort().values)
    split = data.splits["test"]
    frames, labels, lengths = split.batch(torch.arange(9), None)
    assert frames.shape == (9, 48, 5)
    assert lengths.tolist() == [48] * 9
    assert torch.equal(labels, classes)
    times = 0.5 * frames.argmax(1)
    assert (frames.sum(1) == 1).all()
    expected = 2 + 10 * features.double()
    assert ((times[:, :4] <= expected + 1e-3) & (expected < times[:, :4] + 0.5 + 1e-3)).all()
    assert (times[:, 4] == 7).all()
    # Other points in every part.
    train = data.splits["train"].batch(torch.arange(6), None)[0]
    assert not torch.equal(train, frames[:6])


def test_times_in_the_wrong_order():
    with pytest.raises(ValueError, match="expected late after early"):
        YinYang(early=5.0, late=5.0)
