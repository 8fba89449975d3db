"""The backends: which loop runs a module."""

import warnings
from collections.abc import Callable
from typing import Any

import torch

from ..core.dynamics import Dynamics
from ..core.state import State, first_leaf, leaves
from ..core.time_loop import eager_loop
from ..core.torch_private import jit_tracer
from ..core.transforms import active_transform
from ..native.compiler import CompilerUnavailableError
from .dispatch import find_fused, run_fused
from .record.guards import observed
from .record.trace import NotPointwise

_LANGUAGES = {"cpu": "cpp", "cuda": "triton"}
_warned: set[Any] = set()


def unsuited(x: State, state: State) -> str | None:
    """Why these tensors cannot go through a kernel of ours, if they cannot."""
    tensors = (*leaves(x), *leaves(state))
    devices = {tensor.device.type for tensor in tensors}
    if len(devices) != 1 or not devices <= set(_LANGUAGES):
        return f"tensors on {', '.join(sorted(devices))}"
    if jit_tracer() is not None:
        # A tracer writes down the operations of torch; what a kernel of ours computes it does not see.
        return "torch.jit.trace"
    return active_transform() or observed()


def named_loop(language: str) -> Callable:
    """The backend that runs everything in ``language`` or raises."""

    def loop(module: Dynamics, x: State, state: State, output_dtype: torch.dtype | None = None) -> tuple[State, State]:
        if jit_tracer() is not None:
            raise RuntimeError(
                f"{type(module).__name__}: expected no tracer around the backend {language!r}, got torch.jit.trace, "
                "which does not see what our kernels compute; trace with backend('auto') or backend('eager')"
            )
        return run_fused(module, x, state, language, output_dtype)

    return loop


def named_fuses(language: str) -> Callable:
    """Whether the backend named ``language`` runs a module as one kernel."""

    def fuses(module: Dynamics, x: State, state: State) -> bool:
        return _fuses(module, x, state, language)

    return fuses


def auto_loop(module: Dynamics, x: State, state: State, output_dtype: torch.dtype | None = None) -> tuple[State, State]:
    """The fused loop where it can run, else the eager one, with one warning for each class that cannot fuse."""
    if module.pointwise is False or unsuited(x, state):
        return eager_loop(module, x, state, output_dtype)
    try:
        return run_fused(module, x, state, _language(x), output_dtype)
    except NotPointwise as error:
        if module.pointwise:
            _warn_once(
                type(module),
                f"{error}. Until then it runs step by step in Python; pointwise = False in the class says that it may",
            )
    except CompilerUnavailableError as error:
        _warn_once("compiler", f"torchdyn_neuro: loops run step by step in Python, because {error}")
    return eager_loop(module, x, state, output_dtype)


def auto_fuses(module: Dynamics, x: State, state: State) -> bool:
    """Whether ``auto`` runs a module as one kernel."""
    if module.pointwise is False or unsuited(x, state):
        return False
    return _fuses(module, x, state, _language(x))


def _fuses(module: Dynamics, x: State, state: State, language: str) -> bool:
    try:
        return find_fused(module, x, state, language) is not None
    except (NotPointwise, CompilerUnavailableError):
        return False


def _language(x: State) -> str:
    return _LANGUAGES[first_leaf(x).device.type]


def _warn_once(topic: Any, message: str) -> None:
    if topic not in _warned:
        _warned.add(topic)
        warnings.warn(message, stacklevel=4)
