"""Functions with a removable 0/0 point, finite in value and gradient everywhere."""

import torch
from torch import Tensor

_LAST_TERM = 11  # the next one, 0.1**11 / 12!, is below the resolution of float64


def exprel(x: Tensor) -> Tensor:
    r"""The relative exponential, :math:`(e^x - 1) / x`, with value 1 and slope 1/2 at 0.

    Args:
        x: any tensor of floats.

    Example:
        >>> exprel(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 1.7183])
    """
    # Selections inside each branch keep 0/0 and overflow out of the backward pass, where they would turn into NaN.
    near = x.abs() < 0.1
    large = torch.where(near, torch.ones_like(x), x)
    small = torch.where(near, x, torch.zeros_like(x))
    series = 1 + small / _LAST_TERM
    for k in range(_LAST_TERM - 1, 1, -1):
        series = 1 + small / k * series
    return torch.where(near, series, torch.expm1(large) / large)


def mean_decay(a: Tensor, b: Tensor) -> Tensor:
    r"""The convolution of two decays over a unit step, :math:`(e^{-b} - e^{-a}) / (a - b)`; :math:`e^{-a}` if equal.

    Symmetric, without overflow for any non-negative ``a`` and ``b``, and smooth where they meet.

    Args:
        a, b: non-negative tensors, the step in units of each time constant.
    """
    return torch.exp(-torch.minimum(a, b)) * exprel(-(a - b).abs())


def log1prel(x: Tensor) -> Tensor:
    r"""The relative logarithm, :math:`\ln(1 + x) / x` for x > -1, with value 1 at 0.

    Args:
        x: any tensor of floats above -1.

    Example:
        >>> log1prel(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 0.6931])
    """
    zero = x == 0
    safe = torch.where(zero, torch.ones_like(x), x)
    return torch.where(zero, torch.ones_like(x), torch.log1p(safe) / safe)
