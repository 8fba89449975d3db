"""Random manifolds against their formula, and that their counts say nothing."""

import math

import pytest
import torch

from torchdyn_neuro.data import Randman
from torchdyn_neuro.data.randman import random_manifold


def test_the_formula():
    points = torch.rand(6, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    alpha, units = 3.0, 2
    found = random_manifold(points, units, alpha=alpha, generator=torch.Generator().manual_seed(5))
    draws = torch.Generator().manual_seed(5)
    count = 10  # the first whole k with k^-3 at most 1e-3
    parameters = [torch.rand(3, units, count, generator=draws, dtype=torch.float64) for _ in range(2)]
    expected = torch.zeros(6, units, dtype=torch.float64)
    for n in range(6):
        for i in range(units):
            factors = [
                sum(
                    float(a[i, k - 1])
                    / k**alpha
                    * math.sin(2 * math.pi * (k * float(b[i, k - 1]) * float(points[n, j]) + float(c[i, k - 1])))
                    for k in range(1, count + 1)
                )
                for j, (a, b, c) in enumerate(parameters)
            ]
            expected[n, i] = factors[0] * factors[1]
    expected = (expected - expected.amin(0)) / (expected.amax(0) - expected.amin(0))
    torch.testing.assert_close(found, expected)


def test_each_unit_fires_once_within_the_window():
    data = Randman(classes=3, units=4, samples=20, test_samples=10, window=50.0, batch_size=30)
    [(frames, labels, lengths)] = data.test_dataloader()
    assert frames.shape == (30, 50, 4)
    assert (frames.sum(1) == 1).all()
    assert labels.bincount().tolist() == [10, 10, 10]
    assert set(lengths.tolist()) == {50}
    assert {name: len(split.labels) for name, split in data.splits.items()} == {"train": 54, "val": 6, "test": 30}


def nearest_is_right(data):
    """Share of test samples whose nearest training sample, by spike times, is of their class."""
    data.setup()
    times = {}
    for name in ("train", "test"):
        split = data.splits[name]
        times[name] = split.events.gather(split.chosen)[1].view(len(split.labels), -1)
    nearest = torch.cdist(times["test"], times["train"]).argmin(1)
    return (data.splits["train"].labels[nearest] == data.splits["test"].labels).float().mean()


def test_the_times_tell_the_classes():
    assert nearest_is_right(Randman(classes=4, samples=100, test_samples=25)) > 0.95


def test_seeds():
    first, same, other = (
        Randman(classes=2, samples=10, test_samples=5, data_seed=seed).read()["train"].times for seed in (0, 0, 1)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("options", [{"classes": 1}, {"units": 0}, {"window": 0.0}, {"alpha": -1.0}, {"dimensions": 0}])
def test_wrong_numbers(options):
    with pytest.raises(ValueError, match=f"Randman: expected {next(iter(options))}"):
        Randman(**options)
