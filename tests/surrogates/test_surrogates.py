"""Every surrogate: an exact step forward, its formula backward."""

import importlib
import pkgutil

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro import surrogates
from torchdyn_neuro.surrogates import (
    ATan,
    CustomSurrogate,
    Damped,
    FastSigmoid,
    Gaussian,
    PiecewiseExponential,
    Rectangular,
    Sigmoid,
    StraightThrough,
    Triangular,
)

X = np.array([-30.0, -3.0, -0.9, -0.31, -0.02, 0.0, 0.05, 0.37, 0.72, 2.0, 40.0])


def cubic(x):
    return 1 / (1 + x.abs() ** 3)


# The formulas are written with other functions than the package uses where there are any.
FORMULAS = {
    "ATan": (ATan, "slope", lambda x, a: 2 * a / (4 + (np.pi * a * x) ** 2)),
    "FastSigmoid": (FastSigmoid, "slope", lambda x, b: (1 + b * np.abs(x)) ** -2.0),
    "Sigmoid": (Sigmoid, "slope", lambda x, a: a / (4 * np.cosh(a * x / 2) ** 2)),
    "PiecewiseExponential": (PiecewiseExponential, "slope", lambda x, a: a / (2 * np.exp(a * np.abs(x)))),
    "Gaussian": (Gaussian, "width", lambda x, w: np.exp(-(x**2) / (2 * w * w)) / np.sqrt(2 * np.pi * w * w)),
    "Rectangular": (Rectangular, "width", lambda x, w: np.where((x > -w / 2) & (x < w / 2), 1 / w, 0)),
    "Damped": (Damped, "factor", lambda x, g: np.interp(x, [-1, 0, 1], [0, g, 0])),
    "Triangular": (Triangular, "width", lambda x, w: np.interp(x, [-w, 0, w], [0, 1, 0])),
}


def all_surrogates():
    for module in pkgutil.walk_packages(tdn.__path__, "torchdyn_neuro."):
        if ".surrogates." in module.name:
            importlib.import_module(module.name)
    return {cls.__name__: cls for cls in tdn.Surrogate.__subclasses__() if cls.__module__.startswith("torchdyn_neuro.")}


def example(name):
    return CustomSurrogate(cubic) if name == "CustomSurrogate" else all_surrogates()[name]()


def test_every_surrogate_is_public_and_has_a_formula_here():
    assert set(all_surrogates()) == set(surrogates.__all__) == {*FORMULAS, "CustomSurrogate", "StraightThrough"}


@pytest.mark.parametrize("name", all_surrogates())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_forward_is_the_exact_step(name, dtype):
    x = torch.tensor([-torch.inf, *X, torch.finfo(dtype).tiny, -torch.finfo(dtype).tiny, -0.0, torch.inf], dtype=dtype)
    spikes = example(name)(x)
    assert spikes.dtype == dtype
    assert spikes.tolist() == [float(value >= 0) for value in x.tolist()]
    assert example(name)(torch.zeros(2, dtype=dtype)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("value", [None, 0.3, 1, 7.5])
def test_backward_is_the_formula(name, value):
    cls, argument, formula = FORMULAS[name]
    surrogate = cls() if value is None else cls(**{argument: value})
    x = torch.tensor(X, requires_grad=True)
    gradient = torch.linspace(-1, 2, len(X), dtype=torch.float64)
    surrogate(x).backward(gradient)
    with np.errstate(over="ignore"):
        expected = formula(X, getattr(surrogate, argument))
    assert_close(x.grad, gradient * torch.tensor(expected, dtype=torch.float64))
    assert getattr(surrogate, argument) == (getattr(cls(), argument) if value is None else value)


def test_straight_through_passes_the_gradient():
    x = torch.tensor(X, requires_grad=True)
    (StraightThrough()(x) * torch.tensor(X)).sum().backward()
    assert_close(x.grad, torch.tensor(X))


def test_custom_surrogate_uses_the_function():
    x = torch.tensor(X, requires_grad=True)
    CustomSurrogate(cubic)(x).sum().backward()
    assert_close(x.grad, torch.tensor(1 / (1 + np.abs(X) ** 3)))
    with pytest.raises(TypeError, match=r"CustomSurrogate: expected a function of a tensor, got 3; pass a callable"):
        CustomSurrogate(3)


def test_damped_takes_any_surrogate():
    x = torch.tensor(X, requires_grad=True)
    Damped(Sigmoid(3.0), 0.2)(x).sum().backward()
    assert_close(x.grad, torch.tensor(0.2 * 3.0 / (4 * np.cosh(1.5 * np.clip(X, -30, 30)) ** 2)))
    with pytest.raises(TypeError, match=r"Damped: expected a surrogate, got 'atan'; pass e\.g\. Triangular\(\)"):
        Damped("atan")


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_slope_or_width_must_be_positive(name, value):
    cls, argument, _ = FORMULAS[name]
    with pytest.raises(ValueError, match=f"{name}: expected {argument} above 0, got .*; pass"):
        cls(**{argument: value})
    with pytest.raises(TypeError, match=f"{name}: expected {argument} to be a number, got str; pass"):
        cls(**{argument: "steep"})


@pytest.mark.parametrize(
    "surrogate",
    [
        Triangular(0.7),
        Rectangular(0.6),
        Damped(Triangular(2.0), 0.1),
        CustomSurrogate(lambda x: (1 - x**2).relu(), 1.0),
    ],
)
def test_beyond_its_support_a_slope_is_zero(surrogate):
    x = torch.tensor([-0.99, -1.01, 0.99, 1.01], dtype=torch.float64) * surrogate.support
    assert (surrogate.derivative(x) != 0).tolist() == [True, False] * 2


def test_other_slopes_are_zero_nowhere():
    assert all(each().support == float("inf") for each in (ATan, StraightThrough, Sigmoid))


@pytest.mark.parametrize("name", all_surrogates())
def test_double_backward_is_the_slope_of_the_slope(name):
    points = torch.tensor([-0.4, -0.11, 0.2, 0.33], dtype=torch.float64)
    x = points.clone().requires_grad_()
    y = (example(name)(x) * x**2).sum()
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    # d/dx of slope(x) x^2 + 2 x spike(x), where spike' is the surrogate again, by central differences of the slope.
    slope, h = example(name).derivative, 1e-5
    curvature = (slope(points + h) - slope(points - h)) / (2 * h)
    spike = (points >= 0).double()
    expected = curvature * points**2 + 4 * slope(points) * points + 2 * spike
    assert_close(second, expected, rtol=1e-6, atol=1e-8)  # the accuracy of the central difference


@pytest.mark.parametrize("name", all_surrogates())
def test_is_a_hashable_value_that_tells_its_arguments(name):
    assert example(name) == example(name)
    assert hash(example(name)) == hash(example(name))
    assert name in repr(example(name))


@pytest.mark.parametrize("name", all_surrogates())
def test_an_extreme_distance_gives_the_limit_of_the_gradient(name):
    x = torch.tensor([-1e6, 1e6], requires_grad=True)
    example(name)(x).sum().backward()
    assert_close(x.grad, torch.full((2,), float(name == "StraightThrough")), rtol=0, atol=1e-6)


def test_jacobians_row_by_row_and_at_once():
    cell = tdn.LIF(detach_reset=False).double()
    x = torch.linspace(0, 30, 20, dtype=torch.float64).reshape(10, 1, 2)
    assert 0 < cell(x).sum() < x.numel()
    reverse = torch.func.jacrev(cell)(x)
    rows = [torch.autograd.grad(y, x, retain_graph=True)[0] for y in _eager(cell, x.requires_grad_()).flatten()]
    assert_close(reverse, torch.stack(rows).reshape(*x.shape, *x.shape))
    assert_close(torch.autograd.functional.jacobian(cell, x.detach(), vectorize=True), reverse)


def test_vmap_runs_one_cell_for_each_input():
    cell = tdn.LIF().double()
    x = torch.linspace(0, 30, 20, dtype=torch.float64).reshape(10, 1, 2)
    y = torch.func.vmap(cell)(torch.stack([x, 2 * x]))
    assert y.sum() > 0
    assert_close(y, torch.stack([cell(x), cell(2 * x)]))


def _eager(cell, x):
    with tdn.backend("eager"):
        return cell(x)
