"""The Yin-Yang data set: points in the plane, in three classes that no line separates."""

from typing import Any

import torch
from torch import Tensor

from ..core.checks import positive_number, whole_number
from .event_data import EventData
from .events import Events, Recording, collect

BIG_RADIUS, SMALL_RADIUS = 0.5, 0.1
CLASSES = ("yin", "yang", "dots")


def yin_yang_class(point: Tensor) -> Tensor:
    """The class of points within the disc of radius 0.5 around (0.5, 0.5).

    A disc is cut into two by a line of two half circles, whose middles lie on the horizontal diameter; around each of
    them is a dot.

    Args:
        point: coordinates x and y, [\\*, 2].

    Returns:
        0 for yin, 1 for yang, 2 for the dots, [\\*].

    Source: Kriener, Goeltz & Petrovici (2022), The Yin-Yang dataset, NICE '22.

    Example:
        >>> yin_yang_class(torch.tensor([[0.5, 0.8], [0.5, 0.2], [0.75, 0.5], [0.25, 0.55]]))
        tensor([0, 1, 2, 2])
    """
    x, y = point.unbind(-1)
    to_left = torch.hypot(x - BIG_RADIUS / 2, y - BIG_RADIUS)
    to_right = torch.hypot(x - 3 * BIG_RADIUS / 2, y - BIG_RADIUS)
    dot = torch.minimum(to_left, to_right) < SMALL_RADIUS
    # Yin is the upper half, without the half circle on the right and with the one on the left.
    yin = (to_left <= BIG_RADIUS / 2) | ((y > BIG_RADIUS) & (to_right > BIG_RADIUS / 2))
    return torch.where(dot, 2, torch.where(yin, 0, 1))


def yin_yang(count: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random points, uniform within each class, with as many of each class as of the others (within one).

    Args:
        count: number of points.
        seed: seed of the points; one for training and another for the test.

    Returns:
        The features x, y, 1 - x and 1 - y, all from 0 to 1, [count, 4]; and the classes, [count].

    Raises:
        ValueError: if ``count`` is not positive.

    Source: Kriener, Goeltz & Petrovici (2022), The Yin-Yang dataset, NICE '22.

    Example:
        >>> features, classes = yin_yang(300)
        >>> features.shape, classes.bincount().tolist()
        (torch.Size([300, 4]), [100, 100, 100])
    """
    if count < 1:
        raise ValueError(f"yin_yang: expected a count of points above 0, got {count}; ask for some")
    generator = torch.Generator().manual_seed(seed)
    wanted = [(count + 2 - kind) // 3 for kind in range(3)]
    found: list[list[Tensor]] = [[], [], []]
    while any(sum(map(len, found[kind])) < wanted[kind] for kind in range(3)):
        point = 2 * BIG_RADIUS * torch.rand(4 * count, 2, generator=generator)
        point = point[torch.hypot(*(point - BIG_RADIUS).unbind(-1)) <= BIG_RADIUS]
        kinds = yin_yang_class(point)
        for kind in range(3):
            found[kind].append(point[kinds == kind])
    points = torch.cat([torch.cat(found[kind])[: wanted[kind]] for kind in range(3)])
    classes = torch.repeat_interleave(torch.arange(3), torch.tensor(wanted))
    order = torch.randperm(count, generator=generator)
    return torch.cat([points, 1 - points], -1)[order], classes[order]


class YinYang(EventData):
    r"""Points of the Yin-Yang set by latency: a spike each for x, y, 1 - x and 1 - y, and one always at the same time.

    .. math:: t = t_{early} + x\, (t_{late} - t_{early})

    Args:
        early, late: when a value of 0 and a value of 1 spike, ms.
        bias: when the fifth unit spikes, ms.
        samples: points for training.
        validation_samples: points for validation.
        test_samples: points for the test.
        data_seed: seed of the points.
        options: those of :class:`EventData`; without a ``duration``, all samples last for twice ``late``.

    Raises:
        ValueError: if a time is negative or ``late`` not after ``early``, or there are no points.

    Source: Kriener, Goeltz & Petrovici (2022), The Yin-Yang dataset, NICE '22; the times are those of Goeltz et al.
    (2021), Nat. Mach. Intell. 3:823, for a time constant of 10 ms.

    Example:
        >>> data = YinYang(samples=8, validation_samples=3, test_samples=3, batch_size=3)
        >>> frames, labels, lengths = next(iter(data.test_dataloader()))
        >>> frames.shape, frames.sum(1).unique().tolist()
        (torch.Size([3, 40, 5]), [1.0])
    """

    sensor = (5,)
    classes, class_names = len(CLASSES), CLASSES

    def __init__(
        self,
        *,
        early: float = 1.5,
        late: float = 20.0,
        bias: float = 9.0,
        samples: int = 5000,
        validation_samples: int = 1000,
        test_samples: int = 1000,
        data_seed: int = 0,
        **options: Any,
    ):
        owner = "YinYang"
        self.early, self.late, self.bias = (
            positive_number(owner, name, value, zero=True, unit="ms")
            for name, value in (("early", early), ("late", late), ("bias", bias))
        )
        if late <= early:
            raise ValueError(f"{owner}: expected late after early = {early:g} ms, got {late:g} ms; exchange them")
        super().__init__(**{"duration": 2 * self.late, "length": "duration", **options})
        self.samples = whole_number(owner, "samples", samples, 1)
        self.validation_samples = whole_number(owner, "validation_samples", validation_samples, 1)
        self.test_samples = whole_number(owner, "test_samples", test_samples, 1)
        self.data_seed = data_seed

    def read(self) -> dict[str, Events]:
        counts = {"train": self.samples, "val": self.validation_samples, "test": self.test_samples}
        return {
            part: self._part(count, 3 * self.data_seed + number) for number, (part, count) in enumerate(counts.items())
        }

    def _part(self, count: int, seed: int) -> Events:
        features, labels = yin_yang(count, seed=seed)
        times = self.early + features.double() * (self.late - self.early)
        times = 1e3 * torch.cat([times, torch.full((count, 1), self.bias)], 1)
        units = torch.arange(5).numpy()
        recordings = (Recording(each.numpy(), units, int(label)) for each, label in zip(times, labels, strict=True))
        return collect("YinYang", recordings, self.sensor, self.classes)
