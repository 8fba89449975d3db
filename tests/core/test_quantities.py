"""Quantities: bounds, exact start, living gradients, what they show and carry."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

KINDS = [tdn.Real, tdn.Positive, tdn.NonNegative, tdn.UnitInterval]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_learned_value_is_exact_at_its_start(kind, dtype):
    value = torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=dtype) * 0.98 + 0.01
    assert_close(kind(tdn.Learned(value))(), value, rtol=0, atol=0)
    assert_close(kind(value)(), value, rtol=0, atol=0)
    assert kind(tdn.Learned(0.3))().item() == torch.tensor(0.3).item()


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        (tdn.Real, lambda start, raw: start + raw),
        (tdn.Positive, lambda start, raw: start * torch.exp(raw)),
        (tdn.NonNegative, lambda start, raw: start * torch.exp(raw)),
        (tdn.UnitInterval, lambda start, raw: torch.sigmoid(torch.logit(start) + raw)),
    ],
)
def test_the_bijection_and_its_gradient(kind, formula):
    start = torch.tensor([0.1, 0.5, 0.9, 0.3, 0.7], dtype=torch.float64)
    raw = torch.tensor([-3.0, -0.2, 0.0, 0.4, 5.0], dtype=torch.float64, requires_grad=True)
    quantity = kind(tdn.Learned(start))
    with torch.no_grad():
        quantity.raw.copy_(raw)
    assert_close(quantity(), formula(start, raw))
    (expected,) = torch.autograd.grad(formula(start, raw).sum(), raw)
    quantity().sum().backward()
    assert_close(quantity.raw.grad, expected)
    assert (quantity.raw.grad > 0).all()


@pytest.mark.parametrize(("kind", "low", "high"), [(tdn.Positive, 0, torch.inf), (tdn.UnitInterval, 0, 1)])
def test_bounds_hold_and_gradients_stay_finite_far_out(kind, low, high):
    quantity = kind(tdn.Learned(torch.full((2,), 0.4)))
    with torch.no_grad():
        quantity.raw.copy_(torch.tensor([-200.0, 60.0]))
    quantity().sum().backward()
    assert ((quantity() >= low) & (quantity() <= high)).all()
    assert quantity.raw.grad.isfinite().all()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (tdn.Real, float("nan")),
        (tdn.Real, float("inf")),
        (tdn.Positive, 0.0),
        (tdn.Positive, -3),
        (tdn.Positive, torch.tensor([1.0, -3.0])),
        (tdn.Positive, tdn.Learned(0.0)),
        (tdn.NonNegative, -0.1),
        (tdn.NonNegative, tdn.Learned(0.0)),
        (tdn.UnitInterval, 1.5),
        (tdn.UnitInterval, float("nan")),
        (tdn.UnitInterval, tdn.Learned(1.0)),
    ],
)
def test_values_out_of_bounds_raise_under_their_name(kind, wrong):
    class Cell(tdn.Parametrised):
        """Owns one quantity."""

    cell = Cell()
    with pytest.raises(ValueError, match=r"Cell.g: expected .*, got .* nS; pass a value within the bounds"):
        cell.g = kind(wrong, unit="nS")
    assert not hasattr(cell, "g")


@pytest.mark.parametrize(("kind", "edge"), [(tdn.NonNegative, 0.0), (tdn.UnitInterval, 0.0), (tdn.UnitInterval, 1.0)])
def test_fixed_values_may_lie_on_the_bound(kind, edge):
    quantity = kind(edge)
    quantity.check("x")
    assert quantity().item() == edge


@pytest.mark.parametrize("wrong", ["20", True, [1.0], None, tdn.Learned("20")])
def test_types(wrong):
    with pytest.raises(TypeError, match=r"Positive: expected a number, a tensor or Learned\(value\), got .*; pass one"):
        tdn.Positive(wrong)


def test_repr_names_value_unit_and_learning():
    assert repr(tdn.Positive(20, unit="ms")) == "Positive(20 ms)"
    assert repr(tdn.Real(tdn.Learned(-50.0), unit="mV")) == "Real(-50 mV, learned)"
    assert repr(tdn.UnitInterval(torch.tensor([0.25, 0.75]))) == "UnitInterval(mean 0.5, shape (2,))"
    assert "(tau_mem): Positive(7 ms)" in repr(tdn.LIF(7))


def test_fixed_is_a_buffer_and_learned_a_parameter():
    fixed, learned = tdn.Positive(3), tdn.Positive(tdn.Learned(3))
    assert (list(fixed.state_dict()), list(fixed.parameters())) == (["value"], [])
    assert isinstance(learned.raw, nn.Parameter)
    assert set(learned.state_dict()) == {"initial", "raw"}
    assert learned().dtype == torch.float32
    moved = copy.deepcopy(learned)
    with torch.no_grad():
        moved.raw.fill_(0.5)
    learned.load_state_dict(moved.state_dict())
    assert_close(learned(), moved())


def test_a_narrow_module_computes_in_float32():
    learned = tdn.Positive(tdn.Learned(2.0)).bfloat16()
    with torch.no_grad():
        learned.raw.fill_(0.125)
    assert learned().dtype == torch.float32
    assert_close(learned(), 2 * torch.tensor(0.125).exp())


def test_a_given_tensor_is_copied():
    tau = torch.tensor([3.0, 4.0], requires_grad=True)
    quantity = tdn.Positive(tau)
    with torch.no_grad():
        tau.mul_(2)
    assert quantity().tolist() == [3.0, 4.0]
