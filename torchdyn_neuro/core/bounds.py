"""The smooth map of a free number onto an allowed range, and a range in words."""

import math

import torch
from torch import Tensor


def bounded(initial: Tensor, raw: Tensor, low: float, high: float) -> Tensor:
    r"""Maps ``raw`` onto the range from ``low`` to ``high``; it rises with ``raw``, and 0 gives exactly ``initial``.

    .. math::
        y = \begin{cases}
            y_0 + r & \text{without bounds} \\
            l + (y_0 - l)\, e^r & \text{above } l \\
            h - (h - y_0)\, e^{-r} & \text{below } h \\
            l + (h - l)\, \sigma(\mathrm{logit}\tfrac{y_0 - l}{h - l} + r) & \text{between } l \text{ and } h
        \end{cases}

    Args:
        initial: the value at ``raw = 0``, strictly within the range.
        raw: any real number.
        low: the lower bound, ``-inf`` if there is none.
        high: the upper bound, ``inf`` if there is none.

    Example:
        >>> bounded(torch.tensor(20.0), torch.tensor([-90.0, 0.0, 90.0]), 5.0, 100.0)
        tensor([  5.,  20., 100.])
    """
    if high == math.inf:
        if low == 0:
            return initial * torch.exp(raw)
        if low == -math.inf:
            return initial + raw
        # Written from the initial value, which would else be rounded.
        return torch.clamp(initial + (initial - low) * torch.expm1(raw), min=low)
    if low == -math.inf:
        return torch.clamp(initial - (high - initial) * torch.expm1(-raw), max=high)
    rising = raw >= 0
    size = torch.where(rising, raw, -raw)
    small = torch.exp(-size)
    if low == 0 and high == 1:
        part, rest = torch.where(rising, initial, initial * small), torch.where(rising, small, 1.0) * (1 - initial)
        return part / (part + rest)
    below, above = initial - low, high - initial
    behind, ahead = torch.where(rising, below, above), torch.where(rising, above, below)
    shift = ahead * -torch.expm1(-size) * (behind / (behind + ahead * small))
    return torch.clamp(initial + torch.where(rising, shift, -shift), low, high)


def in_words(low: float, high: float) -> str:
    """A range in words, empty if it has no bounds.

    Example:
        >>> in_words(5.0, 100.0), in_words(5.0, math.inf)
        ('from 5 to 100', 'above 5')
    """
    if high == math.inf:
        return "" if low == -math.inf else f"above {low:g}"
    return f"below {high:g}" if low == -math.inf else f"from {low:g} to {high:g}"
