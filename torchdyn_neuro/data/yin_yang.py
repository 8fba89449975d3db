"""The Yin-Yang data set: points in the plane, in three classes that no line separates."""

import torch
from torch import Tensor

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
