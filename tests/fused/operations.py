"""What a step may be made of: each operation of the table, and where to look at it."""

import torch
from torch import Tensor

from torchdyn_neuro.core import random

# What each operation is applied to lies where it is smooth, and near enough to zero to show where a formula cancels.
WIDE = torch.tensor([-3.0, -1.5, -0.7, -0.1, -1e-3, -1e-6, 1e-6, 1e-3, 0.1, 0.7, 1.5, 3.0, 9.0])
POSITIVE = WIDE.abs()


def _keys(x: Tensor) -> Tensor:
    key = torch.full_like(x, -5, dtype=torch.int64)
    return torch.where(x > 0, key, key + (1 << 40))


FUNCTIONS = {
    "add": (lambda x, p: x + p, WIDE),
    "sub": (lambda x, p: x - p, WIDE),
    "mul": (lambda x, p: x * p, WIDE),
    "div": (lambda x, p: x / p, WIDE),
    "neg": (lambda x, p: -x, WIDE),
    "reciprocal": (lambda x, p: torch.reciprocal(x), POSITIVE),
    "exp": (lambda x, p: torch.exp(x), WIDE),
    "expm1": (lambda x, p: torch.expm1(x), WIDE),
    "log": (lambda x, p: torch.log(x), POSITIVE),
    "log1p": (lambda x, p: torch.log1p(x), POSITIVE),
    "sqrt": (lambda x, p: torch.sqrt(x), POSITIVE),
    "rsqrt": (lambda x, p: torch.rsqrt(x), POSITIVE),
    "sin": (lambda x, p: torch.sin(x), WIDE),
    "cos": (lambda x, p: torch.cos(x), WIDE),
    "tanh": (lambda x, p: torch.tanh(x), WIDE),
    "sinh": (lambda x, p: torch.sinh(x), WIDE),
    "cosh": (lambda x, p: torch.cosh(x), WIDE),
    "erf": (lambda x, p: torch.erf(x), WIDE),
    "pow": (lambda x, p: x**p, POSITIVE),
    "pow of a negative base": (lambda x, p: x**-5, WIDE),
    "sigmoid": (lambda x, p: torch.sigmoid(x), WIDE),
    "abs": (lambda x, p: x.abs(), WIDE),
    "floor": (lambda x, p: x * torch.floor(x), WIDE),
    "ceil": (lambda x, p: x * torch.ceil(x), WIDE),
    "trunc": (lambda x, p: x * torch.trunc(x), WIDE),
    "maximum": (lambda x, p: torch.maximum(x, p), WIDE),
    "minimum": (lambda x, p: torch.minimum(x, p), WIDE),
    "relu": (lambda x, p: torch.relu(x), WIDE),
    "comparisons": (lambda x, p: x * ((x > p) | (x <= -p)).to(x.dtype) + (x >= p) * x + (x < 0) * p, WIDE),
    "equalities": (lambda x, p: torch.where((x == p) ^ (x != 1.5), x, p) + torch.where((x > 0) & ~(x > 1), x, p), WIDE),
    "clamp": (lambda x, p: torch.clamp(x, -1.0, 1.0), WIDE),
    "softplus": (lambda x, p: torch.nn.functional.softplus(x), WIDE),
    "lerp": (lambda x, p: torch.lerp(x, p, 0.3), WIDE),
    "random numbers": (lambda x, p: x * random.uniform(_keys(x), 3, x.dtype), WIDE),
    "normal numbers": (lambda x, p: x * random.normal(_keys(x), 3, x.dtype), WIDE),
}
