"""Roots inside brackets."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from torchdyn_neuro.events.crossing import bracketed_root

FUNCTIONS = {
    "steep": (lambda x: torch.tanh(50 * (x - 0.3)), 0.3),
    "flat at the root": (lambda x: (x - 0.7) ** 3, 0.7),
    "exponential": (lambda x: torch.expm1(20 * (x - 0.9)), 0.9),
    "kinked": (lambda x: torch.where(x < 0.5, x - 0.6, 100 * (x - 0.501)), 0.501),
    "curved": (lambda x: torch.exp(-x) - torch.exp(-4 * x) - 0.3, None),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_roots(name, dtype):
    function, expected = FUNCTIONS[name]
    evaluations = 0

    def both(x):
        nonlocal evaluations
        evaluations += 1
        point = x.detach().requires_grad_()
        with torch.enable_grad():
            value = function(point)
            (slope,) = torch.autograd.grad(value.sum(), point)
        return value.detach(), slope

    if expected is None:
        expected = brentq(lambda x: np.exp(-x) - np.exp(-4 * x) - 0.3, 0, 0.4, xtol=1e-15)
    left, right = torch.zeros(1, dtype=dtype), torch.full((1,), 0.4 if name == "curved" else 1.0, dtype=dtype)
    root = bracketed_root(both, left, right).item()
    # A triple root is known to the third root of the resolution only.
    resolution = torch.finfo(dtype).eps
    tolerance = 100 * resolution ** (1 / 3) if name == "flat at the root" else 20 * resolution
    assert root == pytest.approx(expected, abs=tolerance)
    assert evaluations < 80
