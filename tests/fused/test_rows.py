"""Rows of any length, in the caches and past them, and keys that do not keep step."""

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.core import random
from torchdyn_neuro.fused.cpp import kernels

from .agreement import assert_agrees


@pytest.fixture(params=(False, True), ids=("in the caches", "past them"))
def _past(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(kernels, "_last_level_cache", lambda: 0)


def currents(*shape, dtype=torch.float32):
    return 3 * torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.usefixtures("_past")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_that_end_anywhere(dtype):
    cell = tdn.AdLIF().to(dtype)
    for neurons in (1, 5, 15, 16, 17, 32, 127, 128, 129, 272, 300):
        assert_agrees(cell, currents(37, 1, neurons, dtype=dtype))


@pytest.mark.usefixtures("_past")
def test_rows_of_a_narrow_type():
    for neurons in (31, 32, 160):
        x = currents(20, 1, neurons).bfloat16()
        results = {}
        for name in ("eager", "cpp"):
            with tdn.backend(name), torch.no_grad():
                results[name] = tdn.LIF()(x)
        assert results["cpp"].dtype == results["eager"].dtype
        torch.testing.assert_close(results["cpp"], results["eager"])


@pytest.mark.usefixtures("_past")
def test_rows_of_two_vectors_at_a_time():
    cell = tdn.EIF(integrator=tdn.RK4(substeps=3)).double()
    for neurons in (9, 24, 40):
        assert_agrees(cell, currents(11, 1, neurons, dtype=torch.float64))


class Drawn(tdn.Dynamics):
    """Puts out the normal number of its key."""

    def initial_state(self, x_t):
        return (random.start_key(x_t),)

    def step(self, x_t, state):
        (key,) = state
        return random.normal(key, 0, x_t.dtype), (key + 1,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_keys_that_are_at_different_numbers(dtype):
    x = torch.zeros(23, 2, 150, dtype=dtype)
    index = torch.arange(300).reshape(2, 150)
    starts = {
        "all lanes alike": index << 32,
        "lanes apart": (index << 32) + index % 7,
        "vectors apart": (index << 32) + index // 16,
        "vectors that overtake": (index << 32) + (index // 16 % 2) * 4,
        "below zero": -(index << 32) - 9,
    }
    for name, key in starts.items():
        results = {}
        for backend in ("eager", "cpp"):
            with tdn.backend(backend), torch.no_grad():
                results[backend], _ = Drawn().scan(x, (key,))
        close = {"rtol": 1e-6, "atol": 1e-6} if dtype == torch.float32 else {}
        torch.testing.assert_close(results["cpp"], results["eager"], msg=lambda text, n=name: f"{n}: {text}", **close)
