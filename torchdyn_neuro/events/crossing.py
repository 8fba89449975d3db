"""Roots inside brackets, to machine precision."""

from collections.abc import Callable

import torch
from torch import Tensor

_MOST_STEPS = 100
"""Enough halvings to bring any bracket of float64 down to neighbouring numbers; Newton steps need about six."""


def bracketed_root(function: Callable[[Tensor], tuple[Tensor, Tensor]], left: Tensor, right: Tensor) -> Tensor:
    """The roots of functions that rise through zero inside brackets, elementwise.

    Newton's method, with a halving of the bracket wherever its step would leave it.

    Args:
        function: gives the values, below zero at ``left`` and not below it at ``right``, and the derivatives.
        left, right: the brackets.

    Source: Press et al. (2007), Numerical Recipes, ch. 9.4.

    Example:
        >>> bracketed_root(lambda x: (x**2 - 2, 2 * x), torch.tensor([0.0]), torch.tensor([2.0]))
        tensor([1.4142])
    """
    resolution = 2 * torch.finfo(left.dtype).eps * torch.maximum(left.abs(), right.abs())
    root = (left + right) / 2
    for _ in range(_MOST_STEPS):
        value, slope = function(root)
        above = value >= 0
        left, right = torch.where(above, left, root), torch.where(above, root, right)
        step = root - value / slope
        # False also for a step that is not a number, where the slope is zero.
        inside = (step >= left) & (step <= right)
        following = torch.where(inside, step, (left + right) / 2)
        arrived = ((following - root).abs() <= resolution).all()
        root = following
        if arrived:
            break
    return root
