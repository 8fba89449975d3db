"""The first time at which a function, monotone between known knots, rises through zero: to machine precision."""

from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]

_MOST_STEPS = 100
"""Enough halvings to bring any bracket of float64 down to neighbouring numbers; Newton steps need about six."""


def bracketed_root(value: Function, slope: Function, left: Tensor, right: Tensor) -> Tensor:
    """The root of a function inside brackets at whose ends its signs differ, elementwise.

    Newton's method, with a halving of the bracket wherever its step would leave it.

    Args:
        value: the function.
        slope: its derivative.
        left, right: the brackets.

    Returns:
        The roots; where the signs do not differ, some number inside the bracket.

    Source: Press et al. (2007), Numerical Recipes, ch. 9.4.
    """
    rising = value(right) >= 0
    root = (left + right) / 2
    for _ in range(_MOST_STEPS):
        at_root = value(root)
        beyond = (at_root >= 0) == rising
        left, right = torch.where(beyond, left, root), torch.where(beyond, root, right)
        step = root - at_root / slope(root)
        inside = (step > left) & (step < right)
        following = torch.where(inside, step, (left + right) / 2)
        if torch.equal(following, root):
            break
        root = following
    return root


def first_crossing(value: Function, slope: Function, knots: list[Tensor]) -> Tensor:
    """The first time at which ``value`` rises from below zero to zero; infinity where it does not.

    Args:
        value: the function of time.
        slope: its derivative.
        knots: times in ascending order, elementwise, between which the function is monotone; the search goes from the
            first to the last of them.
    """
    crossing = torch.full_like(knots[0], torch.inf)
    heights = [value(knot) for knot in knots]
    for start, end, low, high in zip(knots, knots[1:], heights, heights[1:], strict=False):
        rises = (low < 0) & (high >= 0) & torch.isinf(crossing)
        if rises.any():
            crossing[rises] = bracketed_root(value, slope, start, end)[rises]
    return crossing
