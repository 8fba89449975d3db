"""Functions of one element that Triton lacks or approximates: those of CUDA's library, with which torch computes too.

Triton's interpreter knows no library of the device. There they are made of what it has, and keep their accuracy where
the obvious formula cancels. The quotients are Kahan's: the rounding error of ``exp`` or of ``1 + x`` occurs above and
below and drops out.

Source: Higham (2002), Accuracy and Stability of Numerical Algorithms, ch. 1.14.
"""

import triton
import triton.language as tl
from triton import knobs
from triton.language.extra import libdevice

INTERPRETED = tl.constexpr(knobs.runtime.interpret)


@triton.jit
def exp(x):
    """``exp(x)``; Triton's own is a power of two of a rounded argument, whose error grows with ``x``."""
    if INTERPRETED:
        return tl.exp(x)
    else:
        return libdevice.exp(x)


@triton.jit
def expm1(x):
    """``exp(x) - 1``."""
    if INTERPRETED:
        power = tl.exp(x)
        difference = power - 1.0
        # Where exp(x) rounds to 1 the logarithm is 0, and where it is 0 or infinite the plain difference is right.
        plain = (power == 1.0) | (difference == -1.0) | (power == power + power)
        quotient = difference * x / tl.where(plain, 1.0, tl.log(power))
        return tl.where(power == 1.0, x, tl.where(plain, difference, quotient))
    else:
        return libdevice.expm1(x)


@triton.jit
def log1p(x):
    """``log(1 + x)``."""
    if INTERPRETED:
        total = 1.0 + x
        difference = total - 1.0
        plain = (difference == 0.0) | (total == total + total)
        quotient = tl.log(total) * x / tl.where(plain, 1.0, difference)
        return tl.where(difference == 0.0, x, tl.where(plain, tl.log(total), quotient))
    else:
        return libdevice.log1p(x)


@triton.jit
def tanh(x):
    """Hyperbolic tangent."""
    if INTERPRETED:
        change = expm1(-2.0 * tl.abs(x))
        magnitude = -change / (2.0 + change)
        return tl.where(x < 0.0, -magnitude, magnitude)
    else:
        return libdevice.tanh(x)


@triton.jit
def sinh(x):
    """Hyperbolic sine; of halves, so that the square does not overflow before the result does."""
    if INTERPRETED:
        change = expm1(tl.abs(x))
        half = 0.5 * change
        large = tl.exp(0.5 * tl.abs(x))
        magnitude = tl.where(tl.abs(x) > 20.0, 0.5 * large * large, half + half / (1.0 + change))
        return tl.where(x < 0.0, -magnitude, magnitude)
    else:
        return libdevice.sinh(x)


@triton.jit
def cosh(x):
    """Hyperbolic cosine."""
    if INTERPRETED:
        large = tl.exp(0.5 * tl.abs(x))
        return 0.5 * large * large + 0.5 / (large * large)
    else:
        return libdevice.cosh(x)


@triton.jit
def power(x, exponent):
    """``x ** exponent``; of a negative base for whole exponents only, NaN otherwise."""
    if INTERPRETED:
        # The rounding error of the product is an error of the result relative to it: so it is taken wide.
        product = exponent.to(tl.float64) * tl.log(tl.abs(x).to(tl.float64))
        magnitude = tl.exp(product).to(x.dtype)
        half = 0.5 * exponent
        odd = tl.where(tl.floor(half) == half, 1.0, -1.0)
        whole = tl.floor(exponent) == exponent
        signed = tl.where(x < 0.0, tl.where(whole, magnitude * odd, float("nan")), magnitude)
        return tl.where(exponent == 0.0, 1.0, tl.where(x == 1.0, 1.0, signed))
    else:
        return libdevice.pow(x, exponent)


@triton.jit
def random_bits(key, stream: tl.constexpr, lane: tl.constexpr):
    """The word number ``lane`` of Philox 4x32-10, counted by ``key``; see :mod:`torchdyn_neuro.core.random`."""
    zero = tl.zeros(key.shape, tl.uint32)
    words = tl.philox(stream, key.to(tl.uint32), (key >> 32).to(tl.uint32), zero, zero)
    return words[lane]


@triton.jit
def normal(key, stream: tl.constexpr, dtype: tl.constexpr):
    """A normal number; see :func:`torchdyn_neuro.core.random.normal`."""
    zero = tl.zeros(key.shape, tl.uint32)
    counter = key >> 2
    w0, w1, w2, w3 = tl.philox(stream, counter.to(tl.uint32), (counter >> 32).to(tl.uint32), zero + 1, zero)
    later = (key & 2) != 0
    # Rounded as torch rounds them, from whole numbers of 64 bits.
    first, second = tl.where(later, w2, w0).to(tl.int64), tl.where(later, w3, w1).to(tl.int64)
    radius = tl.sqrt(-2.0 * tl.log((first.to(dtype) + 0.5) * 2.3283064365386963e-10))
    angle = (second.to(dtype) + 0.5) * 2.3283064365386963e-10 * 6.283185307179586
    return radius * tl.where((key & 1) != 0, tl.sin(angle), tl.cos(angle))
