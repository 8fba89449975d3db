"""Each operation of the table, in value and derivative, and random compositions of them."""

import random
from typing import NamedTuple

import pytest
import torch
from torch.nn import functional as F

import torchdyn_neuro as tdn
from torchdyn_neuro.core import random as random_numbers
from torchdyn_neuro.fused.record.ops import COMPOSITES, OPS
from torchdyn_neuro.fused.record.recorder import Operand
from torchdyn_neuro.fused.record.trace import trace_step

from .agreement import assert_agrees

UNARY = {
    "neg": lambda a: -a,
    "reciprocal": lambda a: 1 / (a + 3),
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": lambda a: torch.log(a * a + 0.5),
    "log1p": lambda a: torch.log1p(a * a),
    "sqrt": lambda a: torch.sqrt(a * a + 0.5),
    "rsqrt": lambda a: torch.rsqrt(a * a + 0.5),
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "sigmoid": torch.sigmoid,
    "abs": torch.abs,
    "sign": torch.sign,
    "sgn": lambda a: torch.sgn(a.detach()),
    "floor": torch.floor,
    "ceil": torch.ceil,
    "trunc": torch.trunc,
    "relu": torch.relu,
    "softplus": lambda a: F.softplus(a, beta=2.0, threshold=3.0),
    "leaky_relu": lambda a: F.leaky_relu(a, 0.1),
    "hardtanh": lambda a: F.hardtanh(a, -0.5, 0.7),
    "threshold": lambda a: F.relu(a + 0.1),
    "silu": lambda a: F.silu(a.detach()),
    "cube": lambda a: a**3,
    "inverse square": lambda a: (a * a + 1) ** -2,
    "root": lambda a: (a * a + 1) ** 0.5,
    "power": lambda a: (a * a + 1) ** 1.7,
    "zeroth": lambda a: a.detach() ** 0,
    "clamp": lambda a: a.clamp(-0.5, 0.5),
    "clamp_min": lambda a: a.clamp_min(0.1),
    "clamp_max": lambda a: a.clamp_max(0.1),
    "rsub": lambda a: torch.rsub(a, 2.0, alpha=3.0),
    "filled": lambda a: a.masked_fill(a > 0.3, 0.25),
    "random numbers": lambda a: a * random_numbers.uniform(torch.full_like(a, 7, dtype=torch.int64), 0, a.dtype),
    "normal numbers": lambda a: a * random_numbers.normal(torch.full_like(a, 7, dtype=torch.int64), 0, a.dtype),
    "constants": lambda a: a * torch.ones_like(a) + torch.zeros_like(a) + torch.full_like(a, 0.5),
}
BINARY = {
    "add": torch.add,
    "sub": lambda a, b: torch.sub(a, b, alpha=2.0),
    "mul": torch.mul,
    "div": lambda a, b: a / (b * b + 0.5),
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "pow": lambda a, b: torch.pow(a * a + 0.5, b),
    "where": lambda a, b: torch.where(a > b, a, b * 2),
    "lerp": lambda a, b: torch.lerp(a, b, 0.7),
    "addcmul": lambda a, b: torch.addcmul(a, a, b, value=0.5),
    "addcdiv": lambda a, b: torch.addcdiv(a, b, a * a + 1, value=0.5),
    "and": lambda a, b: torch.where((a > 0) & (b > 0), a, b),
    "or": lambda a, b: torch.where(torch.logical_or(a >= 0.5, b <= -0.5), a, b),
    "xor": lambda a, b: torch.where((a < 0) ^ (b < 0), a, b),
    "not": lambda a, b: torch.where(~(a == b), a, b) + (a != b).to(a.dtype),
}


class Pair(NamedTuple):
    s: torch.Tensor


class Elementwise(tdn.Dynamics):
    """A step made of functions; each is an output of its own."""

    def __init__(self, functions):
        super().__init__()
        self.functions = functions
        self.scale = tdn.Real(tdn.Learned(0.9))

    def initial_state(self, x_t):
        return Pair(torch.zeros_like(x_t))

    def step(self, x_t, state):
        s = 0.5 * state.s + x_t * self.scale()
        return tuple(function(s, x_t) for function in self.functions), Pair(s)


def numbers(dtype):
    generator = torch.Generator().manual_seed(0)
    return 1.5 * torch.randn(5, 3, 101, generator=generator, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_operation(dtype):
    functions = [lambda s, x, f=f: f(s) for f in UNARY.values()] + list(BINARY.values())
    assert_agrees(Elementwise(functions).to(dtype), numbers(dtype), relative=1e-12 if dtype == torch.float64 else 2e-5)


def test_the_operations_above_are_the_whole_table():
    operand = Operand(torch.float64, (False,), True)
    seen = set()

    class Watching(dict):
        def __getitem__(self, name):
            seen.add(name)
            return super().__getitem__(name)

        def get(self, name, default=None):
            seen.add(name)
            return super().get(name, default)

    from torchdyn_neuro.fused.record import builder, recorder

    functions = [lambda a, b, f=f: f(a) for f in UNARY.values()] + list(BINARY.values())
    original = recorder.OPS, recorder.COMPOSITES
    for module in (builder, recorder):
        module.OPS, module.COMPOSITES = Watching(OPS), Watching(COMPOSITES)
    try:
        trace_step(lambda x, s, p: ([f(x[0], x[1]) for f in functions], []), [operand, operand], [], [])
    finally:
        for module in (builder, recorder):
            module.OPS, module.COMPOSITES = original
    missing = ({*OPS, *COMPOSITES}) - seen - {"cast", "random_bits", "normal"}
    assert missing <= {"logical_xor", "logical_and", "bitwise_or", "logical_not"}, missing


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers(value):
    x = numbers(torch.float64)
    x[:, :, ::7] = value
    functions = [torch.maximum, torch.minimum, lambda s, x: x.clamp(-1, 1), lambda s, x: torch.relu(x)]
    module = Elementwise(functions).double()
    with torch.no_grad():
        fused = module(x)
        with tdn.backend("eager"):
            eager = module(x)
    for got, expected in zip(fused, eager, strict=True):
        assert torch.equal(got.isnan(), expected.isnan())
        torch.testing.assert_close(got, expected, equal_nan=True)


@pytest.mark.parametrize("seed", range(3))
def test_random_compositions(seed):
    choose = random.Random(seed)
    unary = [f for name, f in UNARY.items() if name not in ("sinh", "cosh", "exp", "expm1", "floor", "ceil", "trunc")]

    def compose(depth):
        if depth == 0:
            return choose.choice([lambda s, x: s, lambda s, x: x])
        inner = [compose(depth - 1), compose(depth - 1)]
        if choose.random() < 0.5:
            f = choose.choice(unary)
            return lambda s, x: f(torch.tanh(inner[0](s, x)))
        g = choose.choice(list(BINARY.values()))
        return lambda s, x: g(torch.tanh(inner[0](s, x)), torch.tanh(inner[1](s, x)))

    assert_agrees(Elementwise([compose(4) for _ in range(3)]).double(), numbers(torch.float64), relative=1e-12)
