"""Functions with a removable 0/0 point, finite in value and gradient everywhere."""

import math

import torch
from torch import Tensor

_LAST_TERM = 11  # the next one, 0.1**11 / 12!, is below the resolution of float64
_LAST_MOMENT_TERM = 12  # the next one, 2 * 105 / (2**13 16!), is below the resolution of float64
_LAST_RESPONSE_TERM = 11  # the next one, 13 * 0.25**12 / 14!, is below the resolution of float64
_LAST_RAMP_TERM = 17  # the next one, 1 / (18! 20), is below the resolution of float64


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
    series = torch.full_like(x, 1 / math.factorial(_LAST_TERM))
    for k in range(_LAST_TERM - 1, 0, -1):
        series = 1 / math.factorial(k) + small * series
    return torch.where(near, series, torch.expm1(large) / large)


def mean_decay(a: Tensor, b: Tensor) -> Tensor:
    r"""The convolution of two decays over a unit step, :math:`(e^{-b} - e^{-a}) / (a - b)`; :math:`e^{-a}` if equal.

    Symmetric, without overflow for any non-negative ``a`` and ``b``, and smooth where they meet.

    Args:
        a, b: non-negative tensors, the step in units of each time constant.
    """
    return torch.exp(-torch.minimum(a, b)) * exprel(-(a - b).abs())


def mean_response(a: Tensor, b: Tensor) -> Tensor:
    r"""The mean, over a unit step, of the response of two decays in a row to an impulse.

    .. math:: \int_0^1 \frac{e^{-a u} - e^{-b u}}{b - a} du

    Symmetric, without overflow for any non-negative ``a`` and ``b``, and smooth where they meet; 1/2 where both are 0.

    Args:
        a, b: non-negative tensors, the step in units of each time constant.

    Example:
        >>> mean_response(torch.tensor(0.0), torch.tensor(1.0))
        tensor(0.3679)
    """
    # The divided difference of the exponential over 0, -a and -b, formed across the widest gap, which vanishes only at
    # zero; there the term of order n is the sum of all products of n rates, with repetition, over (n + 2)!.
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    near = high < 0.25
    safe = torch.where(near, torch.ones_like(high), high)
    far = (exprel(-low) - torch.exp(-low) * exprel(-(high - low))) / safe
    first, second = (torch.where(near, rate, torch.zeros_like(rate)) for rate in (low, high))
    one = both = torch.ones_like(high)
    series = both / 2
    for n in range(1, _LAST_RESPONSE_TERM + 1):
        one = first * one
        both = one + second * both
        series = series + (-1) ** n / math.factorial(n + 2) * both
    return torch.where(near, series, far)


def mean_ramp_decay(a: Tensor, b: Tensor) -> Tensor:
    r"""A decay convolved with a ramp times a decay, over a unit step.

    .. math:: \int_0^1 u\, e^{-b u} e^{-a (1 - u)} du

    Without overflow for any non-negative ``a`` and ``b``, and smooth where they meet, with the value
    :math:`e^{-a} / 2`.

    Args:
        a: non-negative tensor, the step in units of the time constant of the plain decay.
        b: the same of the decay that multiplies the ramp.
    """
    # Not symmetric, so that absolute values would give a wrong slope where the two meet.
    later = a >= b
    down, up = torch.where(later, a - b, torch.zeros_like(a)), torch.where(later, torch.zeros_like(a), b - a)
    falling = torch.exp(-b) * (exprel(-down) - mean_ramp(down))
    return torch.where(later, falling, torch.exp(-a) * mean_ramp(up))


def mean_ramp(x: Tensor) -> Tensor:
    r"""The mean of a ramp times a decay over a unit step, :math:`\int_0^1 u e^{-x u} du = (1 - (1 + x) e^{-x}) / x^2`.

    Args:
        x: non-negative tensor, the step in units of the time constant of the decay; at 0 the value is 1/2.

    Example:
        >>> mean_ramp(torch.tensor([0.0, 1.0]))
        tensor([0.5000, 0.2642])
    """
    near = x < 1
    safe = torch.where(near, torch.ones_like(x), x)
    series = torch.zeros_like(x)
    small = torch.where(near, x, torch.zeros_like(x))
    for k in range(_LAST_RAMP_TERM, -1, -1):
        series = 1 / (math.factorial(k) * (k + 2)) - small * series
    return torch.where(near, series, (1 - (1 + safe) * torch.exp(-safe)) / (safe * safe))


def response_moments(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    r"""Two moments of the response of two decays in a row to an impulse, over a unit step.

    .. math:: \int_0^1 k(u)\, e^{-b u} du \quad \text{and} \quad \int_0^1 k(u)^2 du, \qquad
        k(u) = \frac{e^{-a u} - e^{-b u}}{b - a}

    Without overflow for any non-negative ``a`` and ``b`` and smooth where they meet; 1/2 and 1/3 where both are 0.

    Args:
        a, b: non-negative tensors, the step in units of each time constant.
    """
    # Both are responses to a constant: of decays at the rates a + b and 2 b, and of these two with a third at 2 a. They
    # are divided differences of the exponential; each is formed across the widest gap, which vanishes only at zero.
    low, high, gap, middle = torch.minimum(a, b), torch.maximum(a, b), (a - b).abs(), a + b
    near = high < 0.25
    mean, safe = exprel(-gap), torch.where(near, torch.ones_like(high), high)
    first, last = low + b, torch.where(near, torch.ones_like(high), high + b)
    mixed = (exprel(-first) - torch.exp(-first) * mean) / last
    slow = torch.exp(-2 * low) * mean
    square = ((exprel(-2 * low) - slow) / (safe + low) * 2 - slow * mean) / (2 * safe)
    rates = [torch.where(near, rate, torch.zeros_like(rate)) for rate in (middle, 2 * b, 2 * a)]
    near_mixed, near_square = _moment_series(rates)
    return torch.where(near, near_mixed, mixed), torch.where(near, near_square, square)


def _moment_series(rates: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The responses of the first two and, twice, of all three decays in a row to a constant, for rates below 1/2."""
    # The term of order n is the sum of all products of n rates, with repetition, over (n + number of rates)!.
    one, two, three = (torch.ones_like(rate) for rate in rates)
    mixed, square = two / 2, three / 3
    for n in range(1, _LAST_MOMENT_TERM + 1):
        one = rates[0] * one
        two = one + rates[1] * two
        three = two + rates[2] * three
        mixed = mixed + (-1) ** n / math.factorial(n + 2) * two
        square = square + (-1) ** n * 2 / math.factorial(n + 3) * three
    return mixed, square


def limited_exp(x: Tensor) -> Tensor:
    r"""The exponential of :math:`\min(x, 12)`: the upstroke of a spike without overflow.

    A cell whose drift has grown by :math:`e^{12}` reaches its peak within microseconds, so that the limit moves no
    spike that a time step could resolve, but it keeps value and gradient of the last step moderate.

    Args:
        x: any tensor of floats.

    Example:
        >>> limited_exp(torch.tensor([0.0, 1e6])) / limited_exp(torch.tensor(12.0))
        tensor([6.1442e-06, 1.0000e+00])
    """
    return torch.exp(torch.clamp(x, max=12.0))


def limited_square(x: Tensor, lowest: float | Tensor) -> Tensor:
    r"""The square of ``x``, continued below ``lowest`` by its tangent.

    An explicit step of a quadratic equation from far below overshoots to the other side, where it diverges: a spike
    out of nothing. The tangent at the point where the slope is as steep as the step resolves has no such overshoot; it
    lies below the parabola, and the point moves to minus infinity as the step shrinks.

    Args:
        x: any tensor of floats.
        lowest: the point of contact, which broadcasts to ``x``.

    Example:
        >>> limited_square(torch.tensor([3.0, -2.0, -4.0]), -2.0)
        tensor([ 9.,  4., 12.])
    """
    held = torch.clamp(x, min=lowest) if isinstance(lowest, float) else torch.maximum(x, lowest)
    return held * (2 * x - held)


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
