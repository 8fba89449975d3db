"""Activations: their formulas, gradients at the awkward points, bounds, and finite numbers everywhere."""

import inspect
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.fused.agreement import assert_agrees
from tests.test_package import lacking
from torchdyn_neuro import rates
from torchdyn_neuro.core.quantities import Constrained


def rectified(x):
    return np.maximum(x, 0)


FORMULAS = {
    "Sigmoid": (lambda x: 1 / (1 + np.exp(-1.5 * (x - 0.3))), {"beta": 1.5, "theta": 0.3}),
    "Tanh": (lambda x: np.tanh(1.5 * (x - 0.3)), {"beta": 1.5, "theta": 0.3}),
    "ThresholdLinear": (lambda x: 2 * rectified(x - 0.3), {"gain": 2.0, "theta": 0.3}),
    "Saturation": (lambda x: 80 / (1 + np.exp(-1.5 * (x - 0.3))), {"r_max": 80.0, "beta": 1.5, "theta": 0.3}),
    "Softplus": (lambda x: 2 / 1.5 * np.log1p(np.exp(1.5 * (x - 0.3))), {"gain": 2.0, "beta": 1.5, "theta": 0.3}),
    "PowerLaw": (lambda x: 0.5 * rectified(x - 0.3) ** 2.3, {"k": 0.5, "n": 2.3, "theta": 0.3}),
    "NakaRushton": (
        lambda x: 80 * rectified(x - 0.3) ** 2.3 / (1.2**2.3 + rectified(x - 0.3) ** 2.3),
        {"r_max": 80.0, "sigma": 1.2, "n": 2.3, "theta": 0.3},
    ),
    "AbbottChance": (
        lambda x: (27 * x - 10.8) / (1 - np.exp(-0.154 * (27 * x - 10.8))),
        {"a": 27.0, "b": 10.8, "d": 0.154},
    ),
}
every_activation = pytest.mark.parametrize("name", FORMULAS)


def learned(name):
    """The activation with every parameter learned."""
    arguments = {key: tdn.Learned(value) for key, value in FORMULAS[name][1].items()}
    return getattr(rates, name)(**arguments)


def test_all_are_here():
    found = {name for name, cls in vars(rates).items() if inspect.isclass(cls) and issubclass(cls, rates.Activation)}
    assert found - {"Activation"} == set(FORMULAS)


@every_activation
def test_formula(name):
    formula, arguments = FORMULAS[name]
    x = torch.linspace(-4, 6, 100, dtype=torch.float64)
    assert_close(
        getattr(rates, name)(**arguments).double()(x), torch.from_numpy(formula(x.numpy())), rtol=1e-12, atol=0
    )


@every_activation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_finite_everywhere(name, dtype):
    activation = learned(name).to(dtype)
    points = [0.0, 0.3, 0.4, 1.5, 1e-30, -1e-30, 1e-3, 10.0, 90.0, 1e3, -1e3, 1e6, -1e6]
    for point in points:
        x = torch.tensor([point], dtype=dtype, requires_grad=True)
        y = activation(x)
        gradients = torch.autograd.grad(y.sum(), [x, *activation.parameters()])
        assert y.isfinite().all(), point
        assert all(gradient.isfinite().all() for gradient in gradients), point


@pytest.mark.parametrize("name", ["PowerLaw", "NakaRushton"])
def test_the_highest_power_does_not_overflow(name):
    activation = getattr(rates, name)(n=tdn.Learned(5.999))
    x = torch.tensor([1e6, -1e6, 1e-6], requires_grad=True)
    y = activation(x)
    gradients = torch.autograd.grad(y.sum(), [x, *activation.parameters()])
    assert all(leaf.isfinite().all() for leaf in (y, *gradients))


@every_activation
def test_gradients_of_input_and_parameters(name):
    activation = learned(name).double()
    # Away from the corner of a threshold, where a difference sees both sides.
    x = torch.tensor([-3.0, -0.5, 0.6, 0.4 if name == "AbbottChance" else 0.7, 1.5, 4.0], dtype=torch.float64)
    given = (x.requires_grad_(), *activation.parameters())

    def run(x, *raw):
        named = dict(zip(dict(activation.named_parameters()), raw, strict=True))
        return torch.func.functional_call(activation, named, (x,))

    assert torch.autograd.gradcheck(run, given, eps=1e-6, atol=1e-7)
    assert torch.autograd.gradgradcheck(run, given, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("activation", "point", "slope"),
    [
        (rates.Softplus(beta=3.0), 0.0, 0.5),
        (rates.AbbottChance(), 0.4, 135.0),  # a / 2 where a x = b
        (rates.NakaRushton(r_max=80.0, sigma=2.0, n=3.0), 2.0, 80 * 3 / (4 * 2.0)),
        (rates.Sigmoid(beta=2.0, theta=1.0), 1.0, 0.5),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_slope_where_two_forms_meet(activation, point, slope):
    x = torch.tensor(point, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(activation.double()(x), x)
    assert gradient.item() == pytest.approx(slope, rel=1e-12)


def test_limits():
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    sharp = rates.Softplus(gain=2.0, beta=1e3).double()(x)
    assert_close(sharp, rates.ThresholdLinear(gain=2.0).double()(x), rtol=0, atol=2 * math.log(2) / 1e3 * 1.001)
    assert_close(rates.PowerLaw(k=2.0, n=1.0).double()(x), rates.ThresholdLinear(gain=2.0).double()(x))
    assert rates.NakaRushton(r_max=80.0, sigma=7.0, n=4.0)(torch.tensor(7.0)).item() == pytest.approx(40)
    assert rates.AbbottChance(d=0.154)(torch.tensor(0.4)).item() == pytest.approx(1 / 0.154, rel=1e-5)


@every_activation
def test_parameters_stay_within_their_bounds_under_any_step(name):
    activation = learned(name).double()
    bounds = {name: (part.low, part.high) for name, part in activation.named_modules() if isinstance(part, Constrained)}
    for size in (30.0, -60.0, 30.0):
        with torch.no_grad():
            for parameter in activation.parameters():
                parameter += size
        for key, (low, high) in bounds.items():
            assert low <= activation.get_submodule(key)().item() <= high


@every_activation
def test_one_parameter_per_unit(name):
    _, arguments = FORMULAS[name]
    per_unit = {key: torch.tensor([value, 1.2 * value]) for key, value in arguments.items()}
    other = {key: 1.2 * value for key, value in arguments.items()}
    y = getattr(rates, name)(**per_unit)(torch.tensor([[1.0, 1.0], [2.0, 2.0]]))
    assert_close(y[:, 0], getattr(rates, name)(**arguments)(torch.tensor([1.0, 2.0])))
    assert_close(y[:, 1], getattr(rates, name)(**other)(torch.tensor([1.0, 2.0])))


@every_activation
def test_fused_equals_eager(name):
    x = 3 * torch.randn(21, 2, 5, dtype=torch.float64)
    assert_agrees(tdn.RateUnit(activation=learned(name), integrator=tdn.Heun()).double(), x, relative=1e-12)


@every_activation
def test_docstring_is_complete(name):
    assert not lacking(name, getattr(rates, name))


def test_what_is_no_activation_is_refused():
    with pytest.raises(TypeError, match=r"RateUnit: expected activation to be a module.*got <class .*; pass an inst"):
        tdn.RateUnit(activation=rates.Tanh)
    with pytest.raises(TypeError, match=r"CTRNNUnit: expected activation to be a module.*got builtin_function"):
        tdn.CTRNNUnit(activation=torch.tanh)
    with pytest.raises(TypeError, match=r"RateUnit: expected activation to be a module.*got LIF"):
        tdn.RateUnit(activation=tdn.LIF())
    with pytest.raises(
        ValueError, match="RateUnit: expected activation to leave its input as it is, got ReLU with inplace"
    ):
        tdn.RateUnit(activation=nn.ReLU(inplace=True))
    with pytest.raises(ValueError, match=r"PowerLaw\.n: expected a number|PowerLaw\.n: expected a real number"):
        rates.PowerLaw(n=0.5)
    with pytest.raises(ValueError, match=r"Sigmoid\.beta: expected a number above 0, got -1"):
        rates.Sigmoid(beta=-1.0)


@every_activation
def test_what_is_no_number_stays_none(name):
    assert getattr(rates, name)()(torch.tensor([torch.nan, 1.0])).isnan().tolist() == [True, False]
