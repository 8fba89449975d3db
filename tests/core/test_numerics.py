"""Functions with a removable 0/0 point against series in rational arithmetic and finite differences."""

import math
from fractions import Fraction

import pytest
import torch
from scipy.integrate import quad
from torch.testing import assert_close

from torchdyn_neuro.core.numerics import exprel, mean_decay, mean_ramp, mean_response, response_moments

POINTS = [0.0, 1e-12, -1e-8, 1e-4, -0.0999, 0.0999, 0.1, -0.1, 0.1001, -0.5, 1.0, -3.0, 8.0]


def series(x, derivative=False):
    """sum x^k / (k + 1)!, or its derivative, in rational arithmetic: no rounding until the end."""
    x = Fraction(x)
    if derivative:
        return float(sum(k * x ** (k - 1) / math.factorial(k + 1) for k in range(1, 60)))
    return float(sum(x**k / math.factorial(k + 1) for k in range(60)))


def test_exprel_value_and_slope():
    x = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
    y = exprel(x)
    y.sum().backward()
    assert_close(y, torch.tensor([series(point) for point in POINTS], dtype=torch.float64), rtol=1e-14, atol=0)
    slopes = torch.tensor([series(point, derivative=True) for point in POINTS], dtype=torch.float64)
    assert_close(x.grad, slopes, rtol=1e-13, atol=0)


def test_exprel_passes_gradcheck_across_zero():
    x = torch.tensor([-0.3, -1e-3, 0.0, 1e-3, 0.09, 0.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(exprel, x)
    assert torch.autograd.gradgradcheck(exprel, x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exprel_far_below_zero_is_finite_in_value_and_gradient(dtype):
    x = torch.tensor([-1e3, -1e6, -1e12, -1e30], dtype=dtype, requires_grad=True)
    y = exprel(x)
    y.sum().backward()
    assert_close(y, -1 / x.detach())
    assert x.grad.isfinite().all()
    # The gradient 1 / x^2 underflows for the last in float32.
    assert_close(x.grad[:2], 1 / x.detach()[:2] ** 2)


def exact_mean_decay(a, b):
    """The mean of exp(-a s - b (1 - s)) over s: exp(-a) times the series of the difference."""
    return math.exp(-a) * series(Fraction(a) - Fraction(b))


@pytest.mark.parametrize(("a", "b"), [(0.2, 0.2), (0.2, 0.2 + 1e-9), (0.05, 1.0), (3.0, 0.4), (0.0, 0.0), (0.0, 2.0)])
def test_mean_decay(a, b):
    x = torch.tensor([a, b], dtype=torch.float64)
    assert_close(mean_decay(x[0], x[1]).item(), exact_mean_decay(a, b), rtol=1e-14, atol=0)
    assert mean_decay(x[0], x[1]) == mean_decay(x[1], x[0])


def test_mean_decay_passes_gradcheck_where_the_two_meet():
    a = torch.tensor([0.5, 0.5, 0.5 + 1e-4, 2.0, 0.1], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([0.5, 0.5 + 1e-4, 0.5, 0.3, 7.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mean_decay, (a, b))


def test_mean_decay_never_overflows():
    a = torch.tensor([1e6, 1e-6, 1e6, 1e-6], requires_grad=True)
    b = torch.tensor([1e6, 1e6, 1e-6, 1e-6], requires_grad=True)
    y = mean_decay(a, b)
    y.sum().backward()
    assert_close(y, torch.tensor([0.0, 1e-6, 1e-6, 1.0]), rtol=1e-5, atol=1e-12)
    assert a.grad.isfinite().all()
    assert b.grad.isfinite().all()


@pytest.mark.parametrize("a", [0.0, 1e-3, 0.1, 0.2499, 0.25, 2.0, 60.0])
@pytest.mark.parametrize("b", [1e-6, 0.1, 0.1 + 1e-7, 0.24, 0.26, 2.0, 60.0])
def test_response_moments_by_quadrature(a, b):
    def response(u):
        return u * math.exp(-a * u) if a == b else -math.exp(-a * u) * math.expm1((a - b) * u) / (b - a)

    points = [0.1 / max(a, b, 1), 1 / max(a, b, 1)]
    expected = [
        quad(integrand, 0, 1, points=points, epsabs=0, epsrel=1e-12, limit=500)[0]
        for integrand in (lambda u: response(u) * math.exp(-b * u), lambda u: response(u) ** 2)
    ]
    wide = [value.item() for value in response_moments(*torch.tensor([a, b], dtype=torch.float64))]
    assert wide == pytest.approx(expected, rel=1e-10)
    narrow = [value.item() for value in response_moments(*torch.tensor([a, b]))]
    # In float32, differences of numbers ten times larger.
    assert narrow == pytest.approx(expected, rel=1e-5)


def test_response_moments_pass_gradcheck_where_the_two_meet_and_at_the_seam():
    a = torch.tensor([0.5, 0.1, 0.1, 0.25, 2.0, 0.01, 7.0], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([0.5, 0.1, 0.1001, 0.2, 1e-3, 3.0, 7.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(response_moments, (a, b))


def test_response_moments_never_overflow():
    a = torch.tensor([0.0, 1e6, 0.0, 1e6, 1e-9], requires_grad=True)
    b = torch.tensor([1e-9, 1e6, 1e6, 1e-9, 1e-9], requires_grad=True)
    mixed, square = response_moments(a, b)
    (mixed.sum() + square.sum()).backward()
    assert_close(mixed[[0, 4]], torch.full((2,), 0.5))
    assert_close(square[[0, 4]], torch.full((2,), 1 / 3))
    for value in (mixed, square, a.grad, b.grad):
        assert value.isfinite().all()


@pytest.mark.parametrize("a", [0.0, 1e-9, 1e-3, 0.1, 0.2499, 0.25, 2.0, 60.0])
@pytest.mark.parametrize("b", [0.0, 1e-6, 1e-3, 0.1, 0.1 + 1e-9, 0.24, 0.25, 0.26, 2.0, 60.0])
def test_mean_response_in_rational_arithmetic(a, b):
    """sum (-1)^n h_n(a, b) / (n + 2)!, where h_n is the sum of all products of n of the rates."""
    rates = Fraction(a), Fraction(b)
    expected, term = Fraction(0), Fraction(1)
    power = Fraction(1)
    for n in range(350):
        expected += (-1) ** n * term / math.factorial(n + 2)
        power *= rates[0]
        term = power + rates[1] * term
    x, y = torch.tensor([a, b], dtype=torch.float64)
    assert_close(mean_response(x, y).item(), float(expected), rtol=5e-15, atol=0)
    assert mean_response(x, y) == mean_response(y, x)
    assert_close(mean_response(x.float(), y.float()).item(), float(expected), rtol=3e-6, atol=0)
    if a == b:
        assert_close(mean_ramp(x).item(), float(expected), rtol=5e-15, atol=0)


def test_mean_response_passes_gradcheck_where_the_two_meet_and_at_the_seam():
    a = torch.tensor([0.5, 0.1, 0.1, 0.2, 2.0, 0.01, 7.0, 1e-9], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([0.5, 0.1, 0.1001, 0.24, 1e-3, 3.0, 7.0, 1e-3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mean_response, (a, b))


def test_mean_response_never_overflows():
    a = torch.tensor([0.0, 1e6, 0.0, 1e6, 1e-9, 1e30], requires_grad=True)
    b = torch.tensor([0.0, 1e6, 1e6, 1e-9, 1e-9, 1e30], requires_grad=True)
    y = mean_response(a, b)
    y.sum().backward()
    assert_close(y[[0, 2, 3, 4]], torch.tensor([0.5, 1e-6, 1e-6, 0.5]))
    for value in (y, a.grad, b.grad):
        assert value.isfinite().all()
