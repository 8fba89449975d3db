"""Quantities: bounds, exact start, living gradients, what they show and carry."""

import copy
import math
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize, prune
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
    class Cell(tdn.Parametrized):
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
    learned.initial = learned.initial.float()  # as where parameters alone are cast
    assert_close(learned(), 2 * torch.tensor(0.125).exp())


def test_a_given_tensor_is_copied():
    tau = torch.tensor([3.0, 4.0])
    quantity = tdn.Positive(tau)
    tau.mul_(2)
    assert quantity().tolist() == [3.0, 4.0]


WITH_GRADIENT = {
    "an nn.Parameter": nn.Parameter(torch.tensor(20.0)),
    "an nn.Parameter, frozen": nn.Parameter(torch.tensor(20.0), requires_grad=False),
    "a tensor with a gradient": torch.tensor(20.0, requires_grad=True),
    "a tensor with a gradient, computed": torch.tensor(20.0, requires_grad=True) * 2,
}


@pytest.mark.parametrize("case", WITH_GRADIENT)
@pytest.mark.parametrize(
    "build", [tdn.LIF, tdn.ExponentialSynapse, tdn.ParametricLIF, tdn.Delay, lambda value: tdn.LIF(tdn.Learned(value))]
)
def test_what_would_lose_its_gradient_is_refused(build, case):
    got = case.partition(",")[0]
    with pytest.raises(TypeError, match=rf"expected a number, .* got {got}, .*; pass Learned\(value.detach\(\)\)"):
        build(WITH_GRADIENT[case])
    build(WITH_GRADIENT[case].detach())


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:FutureWarning")  # torch itself, at the first jvp
def test_transforms_that_differentiate_are_refused():
    def run(tau):
        return tdn.LIF(tau)(torch.ones(2, 1, 1)).sum()

    with pytest.raises(TypeError, match=r"got a tensor with a gradient.*Learned"):
        torch.func.grad(run)(torch.tensor(20.0))
    with pytest.raises(TypeError, match=r"got a tensor with a gradient.*Learned"):
        torch.func.jvp(run, (torch.tensor(20.0),), (torch.tensor(1.0),))


@pytest.mark.parametrize("wrong", [torch.tensor(1 + 2j), torch.tensor([True])])
def test_tensors_that_are_no_real_numbers(wrong):
    with pytest.raises(TypeError, match=r"Real: expected .*, got a tensor of torch\.\w+; pass one of real numbers"):
        tdn.Real(wrong)


@pytest.mark.parametrize("value", [3.0, torch.tensor(3.0), nn.Parameter(torch.tensor(3.0))])
def test_only_a_quantity_takes_the_place_of_a_quantity(value):
    cell = tdn.LIF()
    with pytest.raises(TypeError, match=r"LIF.tau_mem: expected a quantity such as Positive\(...\), got .*; assign"):
        cell.tau_mem = value
    cell.tau_mem = tdn.Positive(3.0)
    assert cell.tau_mem().item() == 3.0


RANGES = {
    "both": (tdn.Real, -2.0, 5.0, lambda start, raw: -2 + 7 * torch.sigmoid(torch.logit((start + 2) / 7) + raw)),
    "above": (tdn.Real, -2.0, None, lambda start, raw: -2 + (start + 2) * torch.exp(raw)),
    "below": (tdn.Real, None, 5.0, lambda start, raw: 5 - (5 - start) * torch.exp(-raw)),
    "time constant": (tdn.Positive, None, 5.0, lambda start, raw: 5 * torch.sigmoid(torch.logit(start / 5) + raw)),
    "share": (
        tdn.UnitInterval,
        0.05,
        None,
        lambda start, raw: 0.05 + 0.95 / (1 + (1 - start) / (start - 0.05) / raw.exp()),
    ),
}


@pytest.mark.parametrize("case", RANGES)
def test_a_range_of_its_own(case):
    kind, low, high, formula = RANGES[case]
    start = torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.9 + 0.06
    quantity = kind(tdn.Learned(start, low=low, high=high))
    assert torch.equal(quantity(), start)
    raw = torch.linspace(-6, 6, 1000, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        quantity.raw.copy_(raw)
    assert_close(quantity(), formula(start, raw))
    quantity().sum().backward()
    assert_close(quantity.raw.grad, torch.autograd.grad(formula(start, raw).sum(), raw)[0])


@pytest.mark.parametrize("case", RANGES)
def test_a_range_holds_far_out(case):
    kind, low, high, _ = RANGES[case]
    quantity = kind(tdn.Learned(torch.full((4,), 0.4), low=low, high=high))
    with torch.no_grad():
        quantity.raw.copy_(torch.tensor([-80.0, -20.0, 20.0, 80.0]))
    value = quantity()
    value.sum().backward()
    assert low is None or (value >= low).all()
    assert high is None or (value <= high).all()
    assert quantity.raw.grad.isfinite().all()


def test_a_range_is_checked_and_shown():
    assert repr(tdn.Positive(tdn.Learned(20, low=5, high=100), unit="ms")) == "Positive(20 ms, learned from 5 to 100)"
    assert repr(tdn.Real(tdn.Learned(20, high=100))) == "Real(20, learned below 100)"
    with pytest.raises(ValueError, match=r"LIF.tau_mem: expected a number from 5 to 100 strictly inside .*, got 3 ms"):
        tdn.LIF(tdn.Learned(3.0, low=5.0, high=100.0))
    with pytest.raises(ValueError, match=r"Positive: expected low below high within 0 to inf, got -1 to inf; narrow"):
        tdn.LIF(tdn.Learned(3.0, low=-1.0))
    with pytest.raises(ValueError, match=r"Real: expected low below high within -inf to inf, got 4 to 2; narrow"):
        tdn.Real(tdn.Learned(3.0, low=4.0, high=2.0))
    with pytest.raises(ValueError, match=r"x: expected .*, got 7"):
        tdn.Positive(7.0, high=5.0).check("x")


@pytest.mark.parametrize("learned", [False, True])
def test_hooks_fire_once_a_call(learned):
    quantity, seen = tdn.Positive(tdn.Learned(3.0) if learned else 3.0), []
    handles = [
        quantity.register_forward_hook(lambda module, args, value: seen.append("after") or 2 * value),
        quantity.register_forward_pre_hook(lambda module, args: seen.append("before")),
        nn.modules.module.register_module_forward_hook(lambda module, args, value: seen.append("global")),
    ]
    assert quantity().item() == 6.0
    assert sorted(seen) == ["after", "before", "global"]
    while handles:
        handles.pop().remove()
        quantity()
    assert sorted(seen) == ["after", "after", "after", "before", "before", "global"]
    assert quantity().item() == 3.0


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # torch below 2.14
def test_a_backward_hook_fires():
    quantity, seen = tdn.Positive(tdn.Learned(3.0)), []
    quantity.register_full_backward_pre_hook(lambda module, grad_output: seen.append(grad_output[0].item()))
    (2 * quantity()).backward()
    assert seen == [2.0]


def test_a_value_that_stands_in():
    for quantity in (tdn.Positive(3.0), tdn.Positive(tdn.Learned(3.0))):
        quantity.bound = torch.tensor(7.0)
        assert quantity() is quantity.bound
        quantity.register_forward_hook(lambda module, args, value: 2 * value)
        assert quantity().item() == 14.0


def test_reading_is_one_call():
    def calls(quantity):
        names = []
        sys.setprofile(lambda frame, event, arg: names.append(frame.f_code.co_name) if event == "call" else None)
        try:
            quantity()
        finally:
            sys.setprofile(None)
        return names

    assert calls(tdn.Positive(3.0)) == ["__call__"]
    assert calls(tdn.Positive(3.0).double()) == ["__call__"]
    assert calls(tdn.Positive(tdn.Learned(3.0))) == ["__call__", "__getattr__", "bounded"]


def test_a_traced_quantity_goes_on_learning():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = tdn.Positive(tdn.Learned(3.0, low=1.0))

        def forward(self, x):
            return self.gain() * x

    traced = torch.fx.symbolic_trace(Scale())
    with torch.no_grad():
        next(traced.parameters()).fill_(0.5)
    y = traced(torch.ones(()))
    assert_close(y.item(), 1 + 2 * math.exp(0.5))
    y.backward()
    assert_close(next(traced.parameters()).grad.item(), 2 * math.exp(0.5))


def test_parametrized_and_pruned():
    class Doubled(nn.Module):
        def forward(self, x):
            return 2 * x

    quantity = tdn.Positive(3.0)
    parametrize.register_parametrization(quantity, "value", Doubled())
    assert quantity().item() == 6.0
    quantity = tdn.Real(tdn.Learned(torch.tensor([3.0, 4.0])))
    with torch.no_grad():
        quantity.raw.copy_(torch.tensor([0.5, 2.0]))
    prune.l1_unstructured(quantity, "raw", amount=1)
    assert quantity().tolist() == [3.0, 6.0]
    with torch.no_grad():
        quantity.raw_orig.add_(1.0)
    assert quantity().tolist() == [3.0, 7.0]
    parametrize.register_parametrization(quantity := tdn.Real(tdn.Learned(3.0)), "raw", Doubled())
    with torch.no_grad():
        quantity.parametrizations.raw.original.fill_(1.0)
    assert quantity().item() == 5.0
