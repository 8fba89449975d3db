"""From a call to what runs it as one kernel."""

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor

from ..core.dynamics import Dynamics
from ..core.state import State, first_frame
from ..core.torch_private import assume_constant_result, dispatch_mode_count
from ..native.compiler import CompilerUnavailableError
from .fuse import Fused, fuse, fuse_values
from .prepared import check_compiled, described, prepare, ready_while_compiling
from .record.guards import ambient, observed
from .record.recording import recordings_of
from .record.trace import NotPointwise
from .signature import Signature, classes_of, of_classes, signature


def ready_fused(
    module: Dynamics, x: State, state: State, language: str, output_dtype: torch.dtype | None = None
) -> Callable[[], tuple[State, State]]:
    """What runs ``module`` as one kernel, and compiles it then.

    Raises:
        NotPointwise: if the step cannot fuse.
        CompilerUnavailableError: if there is no compiler that works.
    """
    if torch.compiler.is_compiling():
        found, values = _fuse_call(module, signature(x, state, output_dtype), language, first_frame(x), state)
        return ready_while_compiling(module, found, values, x, state)
    # Sizes of what a mode makes up may be no numbers.
    lasting = observed() is None and dispatch_mode_count() == 0
    if lasting:
        kind = described(x), described(state), language, output_dtype, torch.is_grad_enabled(), ambient()
        known = recordings_of(module)
        prepared = known.prepared.get(kind)
        ready = prepared and prepared.ready(module, x, state)
        if ready is not None:
            return ready
    found, values, recording = fuse_values(module, signature(x, state, output_dtype), language)
    check_compiled(found, language)
    prepared = prepare(module, found, recording, values, language, x, state)
    if lasting:
        known.keep(kind, prepared)
    return prepared.with_values(module, values, x, state)


def find_fused(
    module: Dynamics, x: State, state: State, language: str, output_dtype: torch.dtype | None = None
) -> tuple[Fused, list[Tensor]]:
    """The recorded step for a call and the values of its parameters; raises :class:`NotPointwise`."""
    found, values, _ = fuse_values(module, signature(x, state, output_dtype), language)
    return found, values


def _fuse_call(
    module: Dynamics, call: Signature, language: str, x_t: State, state: State
) -> tuple[Fused, list[Tensor]]:
    """:func:`find_fused` while torch compiles the call; ``x_t`` and ``state`` are what the step would get."""
    # The result is not used: it makes the compiler watch everything that the step reads.
    module.step(x_t, state)
    # In plain tuples: torch 2.14 hands over a named one without its content.
    plain = classes_of(call.x), classes_of(call.state), call.tensors, call.output_dtype
    found = _fuse_while_compiling(id(module), plain, language, torch.is_grad_enabled())
    if found is None:
        raise NotPointwise(f"{type(module).__name__}: expected a step that acts on each element by itself")
    places = (*found.step.sources, *(found.step.matrices if found.cut else ()))
    return found, [source.value(module) for source in places]


@assume_constant_result
def _fuse_while_compiling(number: int, plain: tuple, language: str, training: bool) -> Fused | None:
    # The compilers before torch 2.14 hand no module over, but its id, and compile anew for another one, as they should.
    module: Dynamics = ctypes.cast(number, ctypes.py_object).value
    x, state, *rest = plain
    try:
        with torch.set_grad_enabled(training):
            return fuse(module, Signature(of_classes(x), of_classes(state), *rest), language)
    except (NotPointwise, CompilerUnavailableError):
        return None
