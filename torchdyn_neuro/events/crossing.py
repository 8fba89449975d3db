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
    first, furthest = left, right
    reach = torch.maximum(left.abs(), right.abs())
    # A step this short is the last one: Newton's method squares the error. One that is asked to be shorter than
    # rounding allows would be lost in the noise of the values.
    short = torch.finfo(left.dtype).eps ** (2 / 3) * reach
    narrow = torch.finfo(left.dtype).eps * reach
    root = (left + right) / 2
    done = torch.zeros_like(root, dtype=torch.bool)
    for _ in range(_MOST_STEPS):
        value, slope = function(root)
        above = value >= 0
        left, right = torch.where(above, left, root), torch.where(above, root, right)
        step = root - value / slope
        last = (step - root).abs() <= short
        # False also for a step that is not a number, where the slope is zero.
        newton = last | ((step >= left) & (step <= right))
        following = torch.where(newton, step, (left + right) / 2)
        root = torch.where(done, root, following)
        done = done | last | (right - left <= narrow)
        if done.all():
            break
    # A last step may end a rounding error outside.
    return torch.minimum(torch.maximum(root, first), furthest)
