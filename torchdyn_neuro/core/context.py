"""Ambient choices: what a ``with`` block decides for the models that run inside it, in its own thread only.

Four things are chosen outside a model: the backend of its time loops, what stands in for the passes of its dynamics
(streaming, recording), the number of steps that a :class:`Stepwise` has folded into the batch, and whether a state that
is only looked at draws random numbers. Each lives in a
context variable, so two threads never meet. Activation checkpointing runs a part of the forward pass once more during
the backward one, outside the block and perhaps on another thread: there the choices of the forward pass hold.
"""

import threading
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from .state import State
from .torch_private import COMPILER_READS_CONTEXT_VARIABLES, backward_in_progress

if TYPE_CHECKING:
    from .dynamics import Dynamics

Forward = Callable[["Dynamics", State], State]
"""``(module, x) -> y`` in the place of :meth:`Dynamics.forward`."""

Scan = Callable[["Dynamics", State, State, torch.dtype | None], tuple[State, State]]
"""``(module, x, state, output_dtype) -> (y, state)`` in the place of :meth:`Dynamics.scan`."""

StepObserver = Callable[[nn.Module, State], None]
"""``(layer, y_t)``, after each step of a layer inside a container."""


class _OfThread(threading.local):
    """A value of each thread, in an attribute that every version of the compiler can follow."""

    def __init__(self, value: Any):
        self.value = value


class _Ambient:
    """A value that holds inside a block and in its thread.

    Args:
        name: for debugging.
        default: the value outside any block.
    """

    def __init__(self, name: str, default: Any):
        self.variable = ContextVar(name, default=default)
        self.of_thread = _OfThread(default)
        self.while_compiling: list[Any] = []

    def get(self) -> Any:
        if torch.compiler.is_compiling():
            if self.while_compiling:
                return self.while_compiling[-1]
            if not COMPILER_READS_CONTEXT_VARIABLES:
                return self.of_thread.value
        return self.variable.get()

    @contextmanager
    def being(self, value: Any) -> Iterator[None]:
        if torch.compiler.is_compiling():
            # A compiler follows a list, but no change of a context variable.
            self.while_compiling.append(value)
            try:
                yield
            finally:
                self.while_compiling.pop()
            return
        token, before = self.variable.set(value), self.of_thread.value
        self.of_thread.value = value
        try:
            yield
        finally:
            self.of_thread.value = before
            self.variable.reset(token)


class _Choice(NamedTuple):
    """A backend, and the backward pass inside which it was chosen; -1 outside any."""

    backend: str
    backward: int


class Fold:
    """A number of steps that the batch holds, and whether anybody has asked for it."""

    def __init__(self, steps: int):
        self.steps = steps
        self.asked = False


_choice = _Ambient("backend", _Choice("auto", -1))
_forward = _Ambient("forward", None)
_scan = _Ambient("scan", None)
_step_observer = _Ambient("step_observer", None)
_fold = _Ambient("fold", None)
_drawing = _Ambient("drawing", True)
_unfolding: ContextVar[tuple[int, int]] = ContextVar("unfolding", default=(-1, 0))
"""The backward pass at work in a Stepwise, and the steps that this one had folded."""

_last_backend: "weakref.WeakKeyDictionary[nn.Module, str]" = weakref.WeakKeyDictionary()


def current_backward() -> int:
    """The number of the backward pass that this thread works for, -1 outside one."""
    return backward_in_progress()


def choosing(name: str) -> AbstractContextManager[None]:
    """Let time loops run on the backend ``name`` inside the block."""
    return _choice.being(_Choice(name, -1 if torch.compiler.is_compiling() else current_backward()))


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


def intercepting(forward: Forward) -> AbstractContextManager[None]:
    """Let ``forward(module, x)`` stand in for every :meth:`Dynamics.forward` inside the block.

    Streaming and recording use it to reach the dynamics inside any model; it calls ``module.scan`` itself.
    """
    return _forward.being(forward)


def interceptor() -> Forward | None:
    """What stands in for :meth:`Dynamics.forward`, if anything does."""
    return _forward.get()


def handing_over(scan: Scan, layers: Collection[nn.Module]) -> AbstractContextManager[None]:
    """Let ``scan`` stand in for the :meth:`Dynamics.scan` of those ``layers`` that a :class:`Chain` runs."""
    return _scan.being((scan, layers))


def scan_in_place(layer: nn.Module) -> Scan | None:
    """What stands in for the scan of a layer of a :class:`Chain`, if anything does."""
    handed = _scan.get()
    return handed[0] if handed is not None and layer in handed[1] else None


def observing_steps(observer: StepObserver) -> AbstractContextManager[None]:
    """Let ``observer(layer, y_t)`` see each step of each layer inside a container."""
    return _step_observer.being(observer)


def step_observer() -> StepObserver | None:
    """Who sees the steps of layers, if anybody does."""
    return _step_observer.get()


def folding(fold: Fold) -> AbstractContextManager[None]:
    """Inside the block, the batch holds the steps of ``fold``."""
    return _fold.being(fold)


def folded_steps() -> int | None:
    """The number of steps in the batch, if any: of the block, or of the Stepwise whose gradient is computed."""
    fold = _fold.get()
    if fold is not None:
        fold.asked = True
        return fold.steps
    if torch.compiler.is_compiling():
        return None
    backward, steps = _unfolding.get()
    return steps if backward != -1 and backward == current_backward() else None


def remember_fold(y: Tensor, steps: int) -> None:
    """Let what is recomputed for the gradient of ``y`` know how many steps its batch holds.

    The gradient of what leaves a Stepwise arrives before anything inside is recomputed, on the thread that does it.
    """
    y.register_hook(lambda gradient: _unfolding.set((current_backward(), steps)) and None)


def without_drawing() -> AbstractContextManager[None]:
    """Let new states start without random numbers, and leave the generator alone, where only their structure counts."""
    return _drawing.being(False)


def drawing() -> bool:
    """Whether a new state takes random numbers from the generator."""
    return _drawing.get()
