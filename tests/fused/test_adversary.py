"""What changes behind a recording's back, one small case each: a stale or guessed step differs from the eager one."""

import contextlib
import gc
import warnings

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.fused.fuse import fuse
from torchdyn_neuro.fused.record.recording import Recordings
from torchdyn_neuro.fused.signature import signature

from .adversary import Cell, Scale
from .adversary_cases import CASES

X = torch.rand(4, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LARGE = torch.rand(4, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _settings(monkeypatch):
    monkeypatch.setenv("TORCHDYN_NEURO_CXXFLAGS", "-O0")
    yield
    torch.set_default_dtype(torch.float32)
    nn.modules.module._global_forward_hooks.clear()


def outcome(cell, x, backend, between=None, second=False):
    """The output and the gradient of the input, or the kind of exception; ``between`` runs before the gradient."""
    x = x.detach().clone().requires_grad_()
    with warnings.catch_warnings(), tdn.backend(backend):
        warnings.simplefilter("ignore")
        try:
            y, _ = cell.scan(x)
            if between is not None:
                between()
            (g,) = torch.autograd.grad(y.square().sum(), [x], create_graph=second, allow_unused=True)
            again = torch.autograd.grad(g.square().sum(), x, allow_unused=True)[0] if second else None
        except Exception as error:
            return type(error)
    return [torch.zeros_like(x) if part is None else part.detach() for part in (y, g, again)]


def assert_same(fused, eager):
    if isinstance(eager, type) or isinstance(fused, type):
        assert fused is eager
        return
    for got, expected in zip(fused, eager, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-14, equal_nan=True)


@pytest.mark.parametrize("name", CASES)
def test_a_change_is_followed(name):
    cell, changes = CASES[name]()
    for change in (lambda: None, *changes):
        change()
        for x in (X, LARGE, X[:, :1]):
            assert_same(outcome(cell, x, "auto"), outcome(cell, x, "eager"))


SECOND = {
    "attribute between forward and backward": lambda cell: lambda: setattr(cell, "gain", 3.0),
    "child between forward and backward": lambda cell: lambda: setattr(cell, "child", Scale(3.0)),
    "nothing between": lambda cell: lambda: None,
}


@pytest.mark.parametrize("name", [*SECOND, *(f"{name}, linear" for name in SECOND)])
def test_second_derivatives(name):
    name, _, linear = name.partition(", ")
    results = []
    for backend in ("auto", "eager"):
        cell = Cell(lambda m, x: m.child(x if linear else x.tanh()) * m.gain, gain=2.0, child=Scale(0.7))
        results.append(outcome(cell, X, backend, SECOND[name](cell), second=True))
    assert_same(*results)


@pytest.mark.parametrize("cell", ["LIF", "LeakyIntegrator", "ExponentialSynapse", "AlphaSynapse"])
def test_of_shipped_cells_a_gradient_of_gradients_and_rows_at_once(cell):
    results = []
    for backend in ("auto", "eager"):
        x = X.clone().requires_grad_()
        with tdn.backend(backend):
            module = getattr(tdn, cell)().double()
            y = module(x)
            (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
            rows = torch.eye(y.numel(), dtype=y.dtype)[:3].reshape(-1, *y.shape)
            (jacobian,) = torch.autograd.grad(y, x, rows, is_grads_batched=True)
        results.append([g.detach(), jacobian, y.detach()])
    assert_same(*results)


@pytest.mark.parametrize("how", ["a module that is gone", "a module after many variants"])
def test_a_gradient_outlives(how):
    results = []
    for backend in ("auto", "eager"):
        x = X.clone().requires_grad_()
        with tdn.backend(backend):
            cell = Cell(lambda m, x: x.tanh() * m.gain, gain=2.0)
            y = cell(x)
            if how == "a module that is gone":
                del cell
                gc.collect()
            else:
                for number in range(Recordings.most_variants + 1 if backend == "auto" else 1):
                    cell.gain = 3.0 + number
                    with contextlib.suppress(tdn.NotPointwise), torch.no_grad():
                        fuse(cell, signature(x, cell.initial_state(x[0]), None), "cpp")
            (g,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
        results.append([g.detach()])
    assert_same(*results)
