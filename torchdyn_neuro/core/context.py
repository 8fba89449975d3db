"""Ambient choices: what a ``with`` block decides for the models that run inside it, in its own thread only.

Five things are chosen outside a model: the backend of its time loops, what stands in for the passes of its dynamics
(streaming, recording), the steps that a :class:`Stepwise` has folded into the batch, how many steps of each row are
real, and whether a state that is only looked at draws random numbers. Each lives in a context variable, so two threads
never meet. Activation checkpointing runs a part of the forward pass once more during
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

from .lengths import check_lengths
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
    """What the batch holds instead of steps and rows, and whether anybody has asked for it.

    Args:
        steps: number of steps.
        rows: number of rows.
        real: [N], which of the [steps rows] frames the batch holds, where it holds not all of them.
    """

    def __init__(self, steps: int, rows: int, real: Tensor | None = None):
        self.steps, self.rows, self.real = steps, rows, real
        self.asked = False

    def pack(self, x: Tensor) -> Tensor:
        """The frames of a sequence [T, B, \\*] as a batch [N, \\*]."""
        x = x.flatten(0, 1)
        return x if self.real is None else x.index_select(0, self.real)

    def unpack(self, y: Tensor) -> Tensor:
        """A batch [N, \\*] as a sequence [T, B, \\*], with zeros where it has no frame."""
        if self.real is not None:
            y = y.new_zeros(self.steps * self.rows, *y.shape[1:]).index_copy(0, self.real, y)
        return y.unflatten(0, (self.steps, -1))

    @property
    def frames(self) -> int:
        """The number N of frames; of any batch, where one is exported, it is no number yet."""
        return self.steps * self.rows if self.real is None else len(self.real)


_choice = _Ambient("backend", _Choice("auto", -1))
_forward = _Ambient("forward", None)
_scan = _Ambient("scan", None)
_step_observer = _Ambient("step_observer", None)
_fold = _Ambient("fold", None)
_drawing = _Ambient("drawing", True)
_lengths = _Ambient("lengths", None)
_unfolding: ContextVar[tuple[int, Fold | None]] = ContextVar("unfolding", default=(-1, None))
"""The backward pass at work in a Stepwise, and what this one had folded."""

_last_backend: "weakref.WeakKeyDictionary[nn.Module, str]" = weakref.WeakKeyDictionary()
_last_lengths: "weakref.WeakKeyDictionary[nn.Module, Tensor | None]" = weakref.WeakKeyDictionary()


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
    """Inside the block, the batch holds what ``fold`` says."""
    return _fold.being(fold)


def folded() -> Fold | None:
    """What the batch holds instead of steps, if so: of the block, or of the Stepwise whose gradient is computed."""
    fold = _fold.get()
    if fold is not None:
        fold.asked = True
        return fold
    if torch.compiler.is_compiling():
        return None
    backward, fold = _unfolding.get()
    return fold if backward != -1 and backward == current_backward() else None


def remember_fold(y: Tensor, fold: Fold) -> None:
    """Let what is recomputed for the gradient of ``y`` know what its batch holds.

    The gradient of what leaves a Stepwise arrives before anything inside is recomputed, on the thread that does it.
    """
    y.register_hook(lambda gradient: _unfolding.set((current_backward(), fold)) and None)


def padded(lengths: Tensor | None) -> AbstractContextManager[None]:
    """Say, for the models that run inside a ``with`` block, how many steps of each row are real; the rest is padding.

    Equations run on over the padding, which comes behind all that is real and so changes nothing of it. What would mix
    rows or steps leaves it out: norms over the batch inside :class:`Stepwise` and :class:`Chain` take their statistics
    from the real frames alone and put out zeros for the others; reports of activity count real steps alone. What cannot
    leave it out, such as weights that all rows change together, refuses. Decoders and losses take the ``lengths`` too.

    Args:
        lengths: number of real steps of each row, whole numbers [B]; ``None``: all of them are.

    Raises:
        TypeError, ValueError: if they are no whole numbers [B] from 0 on.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(tdn.Stepwise(nn.BatchNorm1d(3)), tdn.LIF(), nn.Linear(3, 2), tdn.LeakyIntegrator())
        >>> x, lengths = torch.rand(10, 2, 3), torch.tensor([10, 6])
        >>> with tdn.padded(lengths):
        ...     y = model(x)
        >>> tdn.losses.MembraneCrossEntropy()(y, torch.tensor([0, 1]), lengths).shape
        torch.Size([])
    """
    if lengths is not None:
        lengths = check_lengths("padded", lengths, *getattr(lengths, "shape", (0,))[:1], least=0)
    return _lengths.being(lengths)


def real_steps() -> Tensor | None:
    """How many steps of each row are real, [B], if anybody has said so."""
    return _lengths.get()


def real_steps_of(module: nn.Module) -> Tensor | None:
    """:func:`real_steps` for ``module``; in a recomputation, those of the forward pass."""
    lengths = _lengths.get()
    if torch.compiler.is_compiling():
        return lengths
    if current_backward() == -1:
        _last_lengths[module] = lengths
    elif lengths is None:
        return _last_lengths.get(module)
    return lengths


def without_drawing() -> AbstractContextManager[None]:
    """Let new states start without random numbers, and leave the generator alone, where only their structure counts."""
    return _drawing.being(False)


def drawing() -> bool:
    """Whether a new state takes random numbers from the generator."""
    return _drawing.get()
