"""Random manifolds: spike times that inform by their timing only."""

import math
from typing import Any

import torch
from torch import Tensor

from ..core.checks import positive_number, whole_number
from .event_data import EventData
from .events import Events, Recording, collect

FREQUENCIES = 1000
SMALLEST = 1e-3
"""Amplitude, as a share of the first, below which a frequency is left out."""


def random_manifold(points: Tensor, units: int, *, alpha: float, generator: torch.Generator) -> Tensor:
    r"""Values of random smooth functions, one for each unit, scaled from 0 to 1 over the points.

    .. math:: f_i(x) = \prod_j \sum_{k=1}^{K} \frac{a_{ijk}}{k^\alpha} \sin\big(2 \pi (k\, b_{ijk}\, x_j + c_{ijk})\big)

    with a, b and c uniform from 0 to 1.

    Args:
        points: coordinates on the manifold, from 0 to 1, [N, dimensions].
        units: number of functions.
        alpha: the larger, the smoother.
        generator: what a, b and c are drawn from.

    Returns: [N, units].

    Source: Zenke & Vogels (2021), Neural Computation 33:899.

    Example:
        >>> random_manifold(torch.rand(5, 1), 3, alpha=2.0, generator=torch.Generator().manual_seed(0)).shape
        torch.Size([5, 3])
    """
    count = min(math.ceil(SMALLEST ** (-1 / alpha)), FREQUENCIES)
    frequency = torch.arange(1, count + 1, dtype=torch.float64)
    values = torch.ones(len(points), units, dtype=torch.float64)
    for coordinate in points.double().unbind(1):
        a, b, c = torch.rand(3, units, count, generator=generator, dtype=torch.float64)
        for unit in range(units):
            phase = torch.outer(coordinate, frequency * b[unit]) + c[unit]
            values[:, unit] *= torch.sin(2 * math.pi * phase) @ (a[unit] * frequency**-alpha)
    low, high = values.amin(0), values.amax(0)
    return (values - low) / (high - low).clamp(min=1e-12)


class Randman(EventData):
    """Spikes at the places of random points on random smooth manifolds, one manifold for each class.

    Each unit fires once in each sample, so that counts say nothing: only the times do.

    Args:
        classes: number of classes.
        units: number of units, one spike each.
        dimensions: of each manifold.
        alpha: the larger, the smoother a manifold and the easier the task.
        window: the spikes lie between 0 and this time, ms.
        samples: of each class in training and validation together.
        test_samples: of each class in the test.
        data_seed: seed of manifolds and points.
        options: those of :class:`EventData`; without a ``duration``, all samples last for ``window``.

    Raises:
        ValueError: if a number is not positive.

    Source: Zenke & Vogels (2021), Neural Computation 33:899.

    Example:
        >>> data = Randman(classes=2, units=5, samples=10, test_samples=10, batch_size=4)
        >>> frames, labels, lengths = next(iter(data.test_dataloader()))
        >>> frames.shape, frames.sum((1, 2)).tolist()
        (torch.Size([4, 100, 5]), [5.0, 5.0, 5.0, 5.0])
    """

    def __init__(
        self,
        *,
        classes: int = 10,
        units: int = 20,
        dimensions: int = 1,
        alpha: float = 2.0,
        window: float = 100.0,
        samples: int = 1000,
        test_samples: int = 200,
        data_seed: int = 0,
        **options: Any,
    ):
        self.classes = whole_number("Randman", "classes", classes, 2)
        self.sensor = (whole_number("Randman", "units", units, 1),)
        window = positive_number("Randman", "window", window, unit="ms")
        super().__init__(**{"duration": window, "length": "duration", **options})
        self.dimensions = whole_number("Randman", "dimensions", dimensions, 1)
        self.alpha = positive_number("Randman", "alpha", alpha)
        self.samples = whole_number("Randman", "samples", samples, 1)
        self.test_samples = whole_number("Randman", "test_samples", test_samples, 1)
        self.window, self.data_seed = window, data_seed

    def read(self) -> dict[str, Events]:
        generator = torch.Generator().manual_seed(self.data_seed)
        count, (units,) = self.samples + self.test_samples, self.sensor
        numbers = torch.arange(units).numpy()
        parts: dict[str, list[Recording]] = {"train": [], "test": []}
        for label in range(self.classes):
            points = torch.rand(count, self.dimensions, generator=generator, dtype=torch.float64)
            places = random_manifold(points, units, alpha=self.alpha, generator=generator)
            # The last of the spikes lies within the window, not at its end.
            times = (places * (1e3 * self.window - 1)).numpy()
            for index in range(count):
                part = "train" if index < self.samples else "test"
                parts[part].append(Recording(times[index], numbers, label))
        return {part: collect("Randman", each, self.sensor, self.classes) for part, each in parts.items()}
