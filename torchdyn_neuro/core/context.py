"""Ambient choices: what a ``with`` block decides for the models that run inside it, in its own thread only.

Three things are chosen outside a model: the backend of its time loops, what stands in for the passes of its dynamics
(streaming, recording), and the number of steps that a :class:`Stepwise` has folded into the batch. Each lives in a
context variable, so two threads never meet. Activation checkpointing runs a part of the forward pass once more during
the backward one, outside the block and perhaps on another thread: there the choices of the forward pass hold.
"""

import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from .state import State

if TYPE_CHECKING:
    from .dynamics import Dynamics

Forward = Callable[["Dynamics", State], State]
"""``(module, x) -> y`` in the place of :meth:`Dynamics.forward`."""

Scan = Callable[["Dynamics", State, State, torch.dtype | None], tuple[State, State]]
"""``(module, x, state, output_dtype) -> (y, state)`` in the place of :meth:`Dynamics.scan`."""

StepObserver = Callable[[nn.Module, State], None]
"""``(layer, y_t)``, after each step of a layer inside a container."""


class _Choice(NamedTuple):
    """A backend, and the backward pass inside which it was chosen; -1 outside any."""

    backend: str
    backward: int


class _Fold:
    """A number of folded steps, and whether anybody has asked for it."""

    def __init__(self, steps: int):
        self.steps = steps
        self.asked = False


_choice: ContextVar[_Choice] = ContextVar("backend", default=_Choice("auto", -1))
_forwards: ContextVar[tuple[Forward, ...]] = ContextVar("forwards", default=())
_scans: ContextVar[tuple[Scan, Collection[nn.Module]] | None] = ContextVar("scans", default=None)
_step_observer: ContextVar[StepObserver | None] = ContextVar("step_observer", default=None)
_folds: ContextVar[tuple[_Fold, ...]] = ContextVar("folds", default=())
_folds_while_compiling: list[_Fold] = []
_unfolding: ContextVar[tuple[int, int]] = ContextVar("unfolding", default=(-1, 0))
"""The backward pass at work in a Stepwise, and the steps that this one had folded."""

_last_backend: "weakref.WeakKeyDictionary[nn.Module, str]" = weakref.WeakKeyDictionary()


def current_backward() -> int:
    """The number of the backward pass that this thread works for, -1 outside one."""
    return torch._C._current_graph_task_id()


@contextmanager
def choosing(name: str) -> Iterator[None]:
    """Let time loops run on the backend ``name`` inside the block."""
    token = _choice.set(_Choice(name, current_backward()))
    try:
        yield
    finally:
        _choice.reset(token)


def chosen_backend() -> str:
    """The name of the backend in force."""
    return _choice.get().backend


def backend_of(module: nn.Module) -> str:
    """The backend that runs ``module``: the chosen one; in a recomputation, that of the forward pass.

    A recomputation must keep for the backward pass the very tensors that the first computation kept, which differ from
    backend to backend.
    """
    choice = _choice.get()
    if torch.compiler.is_compiling():
        return choice.backend
    backward = current_backward()
    if backward == -1:
        _last_backend[module] = choice.backend
    elif choice.backward != backward:
        return _last_backend.get(module, choice.backend)
    return choice.backend


@contextmanager
def intercepting(forward: Forward) -> Iterator[None]:
    """Let ``forward(module, x)`` stand in for every :meth:`Dynamics.forward` inside the block.

    Streaming and recording use it to reach the dynamics inside any model; it calls ``module.scan`` itself.
    """
    token = _forwards.set((*_forwards.get(), forward))
    try:
        yield
    finally:
        _forwards.reset(token)


def interceptor() -> Forward | None:
    """What stands in for :meth:`Dynamics.forward`, if anything does."""
    forwards = _forwards.get()
    return forwards[-1] if forwards else None


@contextmanager
def handing_over(scan: Scan, layers: Collection[nn.Module]) -> Iterator[None]:
    """Let ``scan`` stand in for the :meth:`Dynamics.scan` of those ``layers`` that a :class:`Chain` runs."""
    token = _scans.set((scan, layers))
    try:
        yield
    finally:
        _scans.reset(token)


def scan_in_place(layer: nn.Module) -> Scan | None:
    """What stands in for the scan of a layer of a :class:`Chain`, if anything does."""
    scans = _scans.get()
    return scans[0] if scans is not None and layer in scans[1] else None


@contextmanager
def observing_steps(observer: StepObserver) -> Iterator[None]:
    """Let ``observer(layer, y_t)`` see each step of each layer inside a container."""
    token = _step_observer.set(observer)
    try:
        yield
    finally:
        _step_observer.reset(token)


def step_observer() -> StepObserver | None:
    """Who sees the steps of layers, if anybody does."""
    return _step_observer.get()


@contextmanager
def folding(steps: int) -> Iterator[_Fold]:
    """Inside the block, the batch holds so many steps."""
    fold = _Fold(steps)
    if torch.compiler.is_compiling():
        # A compiler follows a list, but no change of a context variable.
        _folds_while_compiling.append(fold)
        try:
            yield fold
        finally:
            _folds_while_compiling.pop()
        return
    token = _folds.set((*_folds.get(), fold))
    try:
        yield fold
    finally:
        _folds.reset(token)


def folded_steps() -> int | None:
    """The number of steps in the batch, if there are any: of the block, or of the Stepwise whose gradient is computed."""
    folds = _folds_while_compiling if torch.compiler.is_compiling() else _folds.get()
    if folds:
        folds[-1].asked = True
        return folds[-1].steps
    backward, steps = _unfolding.get()
    return steps if backward != -1 and backward == current_backward() else None


def remember_fold(y: Tensor, steps: int) -> None:
    """Let what is recomputed for the gradient of ``y`` know how many steps its batch holds.

    The gradient of what leaves a Stepwise arrives before anything inside is recomputed, on the thread that does it.
    """
    y.register_hook(lambda gradient: _unfolding.set((current_backward(), steps)) and None)
