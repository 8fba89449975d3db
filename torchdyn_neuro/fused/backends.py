"""The backends: which loop runs a module."""

import warnings
from collections.abc import Callable
from typing import Any

from ..core.state import State, first_leaf, leaves
from ..core.time_loop import Backend, Call, eager_loop
from ..core.torch_private import jit_tracer
from ..core.transforms import active_transform
from ..native.compiler import CompilerUnavailableError
from .dispatch import ready_fused
from .operators.registry import unavailable
from .record.guards import observed
from .record.trace import NotPointwise

_LANGUAGES = {"cpu": "cpp", "cuda": "triton"}
_warned: set[Any] = set()


def unsuited(x: State, state: State) -> str | None:
    """Why these tensors cannot go through a kernel of ours, if they cannot."""
    tensors = (*leaves(x), *leaves(state))
    device = tensors[0].device
    if device.type not in _LANGUAGES or any(tensor.device != device for tensor in tensors):
        return f"tensors on {', '.join(sorted({str(tensor.device) for tensor in tensors}))}"
    if jit_tracer() is not None:
        # A tracer writes down the operations of torch; what a kernel of ours computes it does not see.
        return "torch.jit.trace"
    return active_transform() or observed()


class Fused(Backend):
    """Runs everything as one kernel in a language, or raises.

    Args:
        language: ``"cpp"`` or ``"triton"``.
    """

    fuses = True

    def __init__(self, language: str):
        self.language = language

    def available(self) -> str | None:
        return unavailable(self.language)

    def takes(self, call: Call) -> str | None:
        try:
            call.ready = _ready(call, self.language)
        except (NotPointwise, CompilerUnavailableError) as error:
            return str(error)
        return None

    def run(self, call: Call) -> tuple[State, State]:
        if jit_tracer() is not None:
            raise RuntimeError(
                f"{type(call.module).__name__}: expected no tracer around the backend {self.language!r}, got "
                "torch.jit.trace, which does not see what our kernels compute; trace with backend('auto') or "
                "backend('eager')"
            )
        return _ready(call, self.language)()


class Auto(Backend):
    """Runs what one of the fused loops takes as one kernel, and all else in the eager loop.

    There is one warning for each class that says that it fuses and does not.
    """

    fuses = True

    def takes(self, call: Call) -> str | None:
        reason = _unsuited(call)
        return reason or Fused(_language(call.x)).takes(call)

    def run(self, call: Call) -> tuple[State, State]:
        if call.ready is None and _unsuited(call):
            return eager_loop(call.module, call.x, call.state, call.output_dtype)
        try:
            return _ready(call, _language(call.x))()
        except NotPointwise as error:
            if call.module.pointwise:
                _warn_once(
                    type(call.module),
                    f"{error}. Until then it runs step by step in Python; pointwise = False in the class says that it "
                    "may",
                )
        except CompilerUnavailableError as error:
            _warn_once("compiler", f"torchdyn_neuro: loops run step by step in Python, because {error}")
        return eager_loop(call.module, call.x, call.state, call.output_dtype)


def _unsuited(call: Call) -> str | None:
    if call.module.pointwise is False:
        return f"{type(call.module).__name__} has pointwise = False: its step does not act on each element by itself"
    return unsuited(call.x, call.state)


def _ready(call: Call, language: str) -> Callable[[], tuple[State, State]]:
    """What runs a call as one kernel, once found; raises ``NotPointwise`` or ``CompilerUnavailableError``."""
    if call.ready is not None:  # not ``or``: the compiler of torch 2.11 knows no truth of a partial
        return call.ready
    return ready_fused(call.module, call.x, call.state, language, call.output_dtype)


def _language(x: State) -> str:
    return _LANGUAGES[first_leaf(x).device.type]


def _warn_once(topic: Any, message: str) -> None:
    if topic not in _warned:
        _warned.add(topic)
        warnings.warn(message, stacklevel=4)
