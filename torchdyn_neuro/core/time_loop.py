"""The one function through which every sequence runs, and the choice of how it runs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from .context import backend_of, choosing, chosen_backend
from .state import State, first_frame, frames, map_state, stack_frames

if TYPE_CHECKING:
    from .dynamics import Dynamics

TimeLoop = Callable[["Dynamics", State, State, torch.dtype | None], tuple[State, State]]
"""``(module, x, state, output_dtype) -> (y, state)``; ``output_dtype`` is ``None`` where the step decides."""


class Call:
    """A sequence that is to run through a module.

    Args:
        module: the dynamics.
        x: input [T, B, \\*].
        state: state before the first step.
        output_dtype: type of the outputs; that of the step if omitted.

    Attributes:
        ready: what a backend has found in :meth:`Backend.takes` and needs once more to run.
    """

    def __init__(self, module: "Dynamics", x: State, state: State, output_dtype: torch.dtype | None = None):
        self.module, self.x, self.state, self.output_dtype = module, x, state, output_dtype
        self.ready: Any = None


class Backend(ABC):
    """A way to run sequences; :func:`register_backend` gives it a name."""

    fuses: ClassVar[bool] = False
    """Whether it runs what it takes in one piece, so that a container hands over several layers at a time."""

    def available(self) -> str | None:
        """Why it can run nothing on this machine; ``None`` if it can."""
        return None

    def takes(self, call: Call) -> str | None:
        """Why it does not run ``call``, in one piece if it fuses; ``None`` if it does."""
        return None

    @abstractmethod
    def run(self, call: Call) -> tuple[State, State]:
        """The outputs [T, B, \\*] and the state after the last step; raises where it does not take the call."""


class Loop(Backend):
    """The backend that a function is."""

    def __init__(self, loop: TimeLoop):
        self.loop = loop

    def run(self, call: Call) -> tuple[State, State]:
        return self.loop(call.module, call.x, call.state, call.output_dtype)


_backends: dict[str, Backend] = {}


def register_backend(name: str, way: Backend | TimeLoop) -> None:
    """Make a backend, or a function that is the whole loop, available as ``backend(name)``."""
    _backends[name] = way if isinstance(way, Backend) else Loop(way)


def available_backends() -> tuple[str, ...]:
    """The names that :class:`backend` takes, of what can run on this machine."""
    return tuple(name for name, each in _backends.items() if each.available() is None)


@contextmanager
def backend(name: str) -> Iterator[None]:
    """Choose how time loops run inside a ``with`` block, in its own thread; the model does not change.

    What activation checkpointing computes once more in the backward pass runs as it ran in the forward pass, inside the
    block or outside.

    Args:
        name: ``"eager"``: the loop of :meth:`Dynamics.step`, the definition; ``"cpp"``: one fused C++ loop, on CPUs;
            ``"triton"``: one fused Triton kernel, on CUDA GPUs; ``"auto"``, the default: the fastest one that can run
            the model.

    Raises:
        ValueError: if there is no such backend.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> with tdn.backend("eager"):
        ...     spikes = tdn.LIF()(torch.ones(10, 1, 4))
    """
    if name not in _backends:
        listed = ", ".join(repr(known) for known in _backends)
        raise ValueError(f"backend: expected one of {listed}, got {name!r}; choose one of them")
    with choosing(name):
        yield


def run_time_loop(
    module: "Dynamics", x: State, state: State, output_dtype: torch.dtype | None = None
) -> tuple[State, State]:
    """Run ``module.step`` over the sequence ``x`` [T, B, \\*] from ``state``, on the chosen backend.

    Args:
        module: the dynamics.
        x: input [T, B, \\*].
        state: state before the first step.
        output_dtype: type of the outputs; that of the step if omitted.

    Returns:
        The outputs [T, B, \\*] and the state after the last step.
    """
    return _backends[backend_of(module)].run(Call(module, x, state, output_dtype))


def in_one_piece(
    module: "Dynamics", x: State, state: State, output_dtype: torch.dtype | None = None
) -> Callable[[], tuple[State, State]] | None:
    """What runs ``module`` over ``x`` [T, B, \\*] as one kernel; ``None`` where the chosen backend does not."""
    chosen, call = _backends[backend_of(module)], Call(module, x, state, output_dtype)
    return (lambda: chosen.run(call)) if chosen.fuses and chosen.takes(call) is None else None


def why_eager(module: "Dynamics", x: State, state: State = None) -> str | None:
    """Why the chosen backend runs ``module`` over ``x`` step by step in Python; ``None`` if it runs as one kernel.

    A container that is no single kernel runs its layers one after the other: ask for each of them.

    Args:
        module: the dynamics.
        x: input [T, B, \\*].
        state: state before the first step; the initial one if omitted.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> x, cell = torch.ones(10, 1, 4), tdn.LIF()
        >>> with tdn.backend("eager"):
        ...     print(tdn.why_eager(cell, x))
        the backend 'eager', which runs everything step by step
    """
    x = module._read(x, axis=2)
    module.check_input(x)
    x_0 = first_frame(x)
    state = module.initial_state(x_0) if state is None else module.take_state(x_0, state)
    name = chosen_backend()
    if not _backends[name].fuses:
        return f"the backend {name!r}, which runs everything step by step"
    return _backends[name].takes(Call(module, x, state))


def eager_loop(
    module: "Dynamics", x: State, state: State, output_dtype: torch.dtype | None = None
) -> tuple[State, State]:
    """The reference: a Python loop over :meth:`Dynamics.step`."""
    outputs = []
    for x_t in frames(x):
        y_t, state = module.step(x_t, state)
        outputs.append(y_t if output_dtype is None else map_state(lambda leaf: leaf.to(output_dtype), y_t))
    return stack_frames(outputs), state


# In this order: the first is the default, which the fused loops replace.
register_backend("auto", eager_loop)
register_backend("eager", eager_loop)
