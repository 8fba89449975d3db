"""The one function through which every sequence runs, and the choice of how it runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from .context import backend_of, choosing
from .state import State, frames, map_state, stack_frames

if TYPE_CHECKING:
    from .dynamics import Dynamics

TimeLoop = Callable[["Dynamics", State, State, torch.dtype | None], tuple[State, State]]
"""``(module, x, state, output_dtype) -> (y, state)``; ``output_dtype`` is ``None`` where the step decides."""

Fuses = Callable[["Dynamics", State, State], bool]
"""``(module, x, state)``: whether a backend runs the module as one kernel."""

_loops: dict[str, TimeLoop] = {}
_fuses: dict[str, Fuses] = {}


def register_backend(name: str, loop: TimeLoop, fuses: Fuses = lambda module, x, state: False) -> None:
    """Make ``loop`` available as ``backend(name)``; ``fuses`` tells containers what to give to it in one piece."""
    _loops[name] = loop
    _fuses[name] = fuses


def available_backends() -> tuple[str, ...]:
    """The names that :class:`backend` takes."""
    return tuple(_loops)


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
    if name not in _loops:
        listed = ", ".join(repr(known) for known in _loops)
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
    return _loops[backend_of(module)](module, x, state, output_dtype)


def fuses(module: "Dynamics", x: State, state: State) -> bool:
    """Whether the chosen backend runs ``module`` over ``x`` [T, B, \\*] as one kernel."""
    return _fuses[backend_of(module)](module, x, state)


def eager_loop(
    module: "Dynamics", x: State, state: State, output_dtype: torch.dtype | None = None
) -> tuple[State, State]:
    """The reference: a Python loop over :meth:`Dynamics.step`."""
    outputs = []
    for x_t in frames(x):
        y_t, state = module.step(x_t, state)
        outputs.append(y_t if output_dtype is None else map_state(lambda leaf: leaf.to(output_dtype), y_t))
    return stack_frames(outputs), state


register_backend("auto", eager_loop)
register_backend("eager", eager_loop)
