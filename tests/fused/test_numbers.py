"""Numbers at the edge: constants of narrow types, infinite slopes, NaN bounds, mixed types; eager is right."""

from typing import NamedTuple

import pytest
import torch

import torchdyn_neuro as tdn

from .agreement import run

NAN, INF = float("nan"), float("inf")


@pytest.fixture(autouse=True)
def _compiled_in_a_moment(monkeypatch):
    monkeypatch.setenv("TORCHDYN_NEURO_CXXFLAGS", "-O0")


class Held(NamedTuple):
    s: torch.Tensor


class Step(tdn.Dynamics):
    """A step given as a function of the input and the state; the output is what the function gives first."""

    def __init__(self, function, dtype=None, parameter=None):
        super().__init__()
        self.function = function
        self.dtype = dtype
        if parameter is not None:
            self.p = torch.nn.Parameter(parameter)

    def initial_state(self, x_t):
        return Held(torch.zeros_like(x_t, dtype=self.dtype))

    def step(self, x_t, state):
        y, s = self.function(self, x_t, state.s)
        return y, Held(s)


def numbers(dtype=torch.float64, values=(0.0, -0.0, 0.1, 1.0, -1.5, 300.0, 2.7, NAN, INF, -INF)):
    return torch.tensor([values, values[::-1]], dtype=torch.float64).to(dtype).unsqueeze(1)


def assert_same(module, x, state=None, backend="cpp"):
    """Bit for bit, where only operations that round alike are used; NaN equals NaN, zeros have their sign."""
    eager, fused = (run(module, x, name, state) for name in ("eager", backend))
    for expected, got in zip((*eager[0], *eager[1]), (*fused[0], *fused[1]), strict=True):
        expected = torch.zeros_like(got) if expected is None and got is not None else expected
        torch.testing.assert_close(got, expected, rtol=0, atol=0, equal_nan=True)
        if got is not None and got.is_floating_point():
            zeros = expected == 0
            assert torch.equal(got[zeros].signbit(), expected[zeros].signbit())


def assert_same_values(module, x, fused):
    """Of outputs that carry no gradient."""
    results = []
    for backend in ("eager", fused):
        with tdn.backend(backend):
            results.append(module(x))
    assert results[0].dtype == results[1].dtype
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0, equal_nan=True)


def filled(value, dtype):
    return lambda m, x, s: (x + torch.full_like(x, value).to(dtype).to(x.dtype), s)


CONSTANTS = {
    "bool": filled(2.0, torch.bool),
    "bool of a fraction": filled(0.3, torch.bool),
    "bool of NaN": filled(NAN, torch.bool),
    "uint8": filled(2.7, torch.uint8),
    "uint8 beyond": filled(300.7, torch.uint8),
    "uint8 below": filled(-1.5, torch.uint8),
    "bfloat16": filled(0.1, torch.bfloat16),
    "float16": filled(0.1, torch.float16),
    "float16 beyond": filled(1e6, torch.float16),
    "float32": filled(0.1, torch.float32),
    "a mask of twos": lambda m, x, s: (x + (~torch.full_like(x, 2.0).bool()).to(x.dtype), s),
    "a sum of twos": lambda m, x, s: (x * (torch.full_like(x, 2.0).bool().to(x.dtype) + 1), s),
    "made in a type": lambda m, x, s: (x + torch.full_like(x, 0.1, dtype=torch.bfloat16).to(x.dtype), s),
    "a tensor of no axes": lambda m, x, s: (x + torch.tensor(0.1, dtype=torch.bfloat16), s),
    "filled": lambda m, x, s: (x + torch.empty_like(x, dtype=torch.float16).fill_(0.1).to(x.dtype), s),
    "minus zero": lambda m, x, s: (1 / torch.full_like(x, -0.0), s + x),
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant_is_what_its_type_holds(name):
    assert_same(Step(CONSTANTS[name]), numbers())


CASTS = {
    "uint8": lambda m, x, s: (x.to(torch.uint8).to(x.dtype), s),
    "uint8 out": lambda m, x, s: (x.to(torch.uint8), s),
    "bool": lambda m, x, s: (x.bool(), s),
    "bfloat16": lambda m, x, s: (x.bfloat16().to(x.dtype), s),
    "float16": lambda m, x, s: (x.half().to(x.dtype), s),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", CASTS)
def test_casts_of_any_number(name, dtype):
    with torch.no_grad():
        x = numbers(dtype)
        assert_same_values(Step(CASTS[name]), x, "cpp")


MIXED = {
    "in place, wide into narrow": lambda m, x, s: (x.clone().add_(m.p * x.double()), s),
    "a clone changed in place": lambda m, x, s: (x.clone().mul_(2).add_(s), s + x),
    "compared with a wide constant": lambda m, x, s: ((x == torch.tensor(0.1, dtype=torch.float64)).to(x.dtype), s + x),
    "a wide parameter for each neuron": lambda m, x, s: ((x * m.p).to(x.dtype), s),
    "compared with a wide parameter": lambda m, x, s: ((x > m.p).to(x.dtype), s + x),
    "clamped by NaN": lambda m, x, s: (x.clamp(min=NAN), s + x.clamp(max=NAN)),
    "clamped by NaN in other words": lambda m, x, s: (x.clamp_min(NAN), s + x.clamp(0.1, NAN)),
    "clamped by a tensor of NaN": lambda m, x, s: (torch.clamp(x, s / s, x), s + 1),
    "clamped by a parameter": lambda m, x, s: (torch.clamp(x.double(), m.p, 1.5 * m.p).to(x.dtype), s),
    "negative zero": lambda m, x, s: (1 / -x, s),
    "relu of negative zero": lambda m, x, s: (1 / torch.relu(-x), s),
}


@pytest.mark.parametrize("name", MIXED)
def test_mixed_types_and_special_values(name):
    parameter = torch.linspace(0.05, 1.0, 10, dtype=torch.float64)
    assert_same(Step(MIXED[name], parameter=parameter), numbers(torch.float32))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.bfloat16, torch.float16])
def test_states_of_narrow_types(dtype):
    module = Step(lambda m, x, s: (x + s.to(x.dtype), (x > 0.05).to(s.dtype)), dtype)
    x = numbers()
    assert_same(module, x)
    assert_same(module, x, Held(torch.ones(1, 10, dtype=dtype)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_number_that_a_narrow_type_does_not_hold_does_not_fuse_where_devices_round_it_otherwise(dtype):
    x = numbers(dtype)
    for function in (lambda x: x + 0.1, lambda x: 0.1 - x, lambda x: (x == 0.1).to(x.dtype), lambda x: x.abs() ** 1.7):
        module = Step(lambda m, x, s, f=function: (f(x), s + x))
        with tdn.backend("cpp"), pytest.raises(tdn.NotPointwise, match="a number that this type does not hold"):
            module(x)
    exact = (lambda x: x + 0.5, lambda x: x * 0.1, lambda x: x / 0.3, lambda x: (x > 0.25).to(x.dtype))
    for function in exact:
        assert_same(Step(lambda m, x, s, f=function: (f(x), s + x)), x)


@pytest.mark.parametrize("exponent", [0.5, -0.5])
def test_a_root_that_is_a_power_on_one_device_does_not_fuse(exponent):
    # In float16 on CPUs (-inf) ** 0.5 is inf, as powers are; a root is NaN.
    x = numbers(torch.float16)
    with tdn.backend("eager"):
        assert Step(lambda m, x, s: (x**exponent, s))(x)[..., -1].flatten()[0] == INF**exponent
    with tdn.backend("cpp"), pytest.raises(tdn.NotPointwise, match="a root on one device and a power on another"):
        Step(lambda m, x, s: (x**exponent, s))(x)
    assert_same_values(Step(lambda m, x, s: (x.bfloat16() ** exponent, s)), numbers(), "cpp")


@pytest.mark.parametrize("function", [torch.sgn, lambda x: x**0])
def test_a_gradient_of_zero_without_an_origin_does_not_fuse(function):
    module = Step(lambda m, x, s: (function(x), s + x))
    with tdn.backend("cpp"), pytest.raises(tdn.NotPointwise, match="comes from no other"):
        module(numbers().requires_grad_())
    with torch.no_grad():
        assert_same_values(module, numbers(), "cpp")


def test_the_bits_of_a_number_do_not_fuse():
    module = Step(lambda m, x, s: (x.half().view(torch.bfloat16).to(x.dtype), s))
    with tdn.backend("cpp"), pytest.raises(tdn.NotPointwise, match="the bits of a number"):
        module(numbers())


ABSENT = {
    "a state that nobody reads": lambda m, x, s: (x, x.abs().sqrt()),
    "a state on the way": lambda m, x, s: (2 * x, s.abs().sqrt() + x.abs().log()),
    "a quotient": lambda m, x, s: (x + 1, x / x),
    "a zero that arrives": lambda m, x, s: (x.sqrt().floor() + x, (x / x).sign()),
    "the sign of an inverse": lambda m, x, s: (x, torch.sign(torch.reciprocal(x))),
    "a quotient that is filled": lambda m, x, s: ((x / x).fill_(1.0), s + (x.sqrt() + 0).zero_()),
    "a power": lambda m, x, s: (x * s, x.abs() ** 0.5),
}


@pytest.mark.parametrize("name", ABSENT)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_gradient_that_does_not_arrive_meets_no_infinite_slope(name, which):
    assert_absent(name, which, "cpp")


def assert_absent(name, which, fused):
    """The gradient of one result alone is that of the eager loop."""
    module = Step(lambda m, x, s: ((ABSENT[name](m, x, s)[0], x.abs().sqrt()), ABSENT[name](m, x, s)[1]))
    results = []
    for backend in ("eager", fused):
        x = torch.tensor([0.0, 0.5, -0.2, 0.0, 2.0], dtype=torch.float64).expand(11, 2, 5).contiguous().requires_grad_()
        with tdn.backend(backend):
            (y, z), last = module.scan(x)
        results.append(torch.autograd.grad((y, z, last.s)[which].sum(), x)[0])
    torch.testing.assert_close(results[1], results[0], rtol=1e-14, atol=0, equal_nan=True)


def test_a_parameter_with_more_rows_than_the_batch():
    class Own(Step):
        pass

    module = Own(lambda m, x, s: (x * m.p, s), parameter=torch.linspace(1, 2, 3, dtype=torch.float64).reshape(3, 1))
    x = numbers()
    with tdn.backend("cpp"), pytest.raises(tdn.NotPointwise, match="broadcast to a frame"):
        module(x)
    with pytest.warns(UserWarning, match="broadcast to a frame"):
        assert module(x).shape == (2, 3, 10)


def test_the_gradient_of_a_narrow_parameter_is_rounded_once():
    weight = torch.tensor([0.3], dtype=torch.bfloat16)
    module = Step(lambda m, x, s: (torch.minimum(x + 0.4, m.p), s), parameter=weight)
    x = torch.zeros(1, 2, 500)
    results = []
    for backend in ("eager", "cpp"):
        with tdn.backend(backend):
            y = module(x)
        results.append(torch.autograd.grad((y * torch.linspace(0.1, 0.11, 1000).reshape(y.shape)).sum(), module.p)[0])
    assert torch.equal(*results)


def test_a_parameter_that_no_result_needs_keeps_its_axes_and_its_type():
    # Without axes it would be a number of float16, which does not hold the factor.
    def function(m, x, s):
        torch.sub(x.half(), m.p, alpha=1e5)
        return x * x, s

    module = Step(function, parameter=torch.tensor([0.3], dtype=torch.float64))
    x = torch.linspace(-1, 2, 6, dtype=torch.float64).reshape(2, 1, 3).requires_grad_()
    results = []
    for backend in ("eager", "cpp"):
        with tdn.backend(backend):
            (first,) = torch.autograd.grad(module(x).sum(), x, create_graph=True)
            results.append((first, *torch.autograd.grad(first.square().sum(), x)))
    torch.testing.assert_close(*results)


def assert_summed_before_rounded(shape, backend):
    # All sums are exact in float64; 2^130 is infinite in float32, and 2^105 - 2^80 rounded to 2^105.
    x = torch.tensor([[[2.0**130, 2.0**105, 2.0**80], [-(2.0**130), 2.0**80 - 2.0**105, 2.0**81]]], dtype=torch.float64)
    module = Step(lambda m, x, s: (x * m.p, s), parameter=torch.full(shape, 0.5))
    with tdn.backend(backend):
        (found,) = torch.autograd.grad(module(x).sum(), module.p)
    assert found.dtype == torch.float32
    assert found.tolist() == ([0.0, 2.0**80, 3 * 2.0**80] if shape else 4 * 2.0**80)


@pytest.mark.parametrize("backend", ["eager", "cpp"])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_the_gradient_of_a_parameter_is_summed_before_it_is_rounded(shape, backend):
    assert_summed_before_rounded(shape, backend)


def test_what_the_derivative_needs_has_not_been_changed_in_place():
    class Own(Step):
        pass  # a class of its own is warned about

    module = Own(lambda m, x, s: (torch.exp(x).mul_(2), s))
    x = numbers().requires_grad_()
    with tdn.backend("cpp"), pytest.raises(tdn.NotPointwise, match="changed"):
        module(x)
    with pytest.warns(UserWarning, match="in place has changed"), pytest.raises(RuntimeError, match="modified by an"):
        module(x).sum().backward()
