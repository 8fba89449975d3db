"""The step of a cell as a compiled function, for a loop over time that is not this package's own."""

import ctypes
import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.dynamics import Dynamics
from ..core.state import State, leaves, map_state
from ..native.compiler import arrays, load_library
from .beside import plain_numbers
from .cpp.kernels import parameter_layout
from .cpp.stepper import emit_stepper, held_nodes
from .dispatch import find_fused
from .layout import laid_out_all
from .operators.registry import get_loop
from .record.trace import NotPointwise

WIDEST = 128
"""Arrays are as long as whole multiples of this."""
_WIDEST_VECTOR = 16
"""Numbers in a vector."""


@dataclass(frozen=True, eq=False)
class Stepper:
    """A compiled step.

    Args:
        address: of the function ``step``; see :func:`~torchdyn_neuro.fused.cpp.stepper.emit_stepper`.
        held: what it takes behind the states.
        library: keeps it loaded.
    """

    address: int
    held: tuple[Tensor, ...]
    library: ctypes.CDLL


@functools.cache
def _library(key: str) -> ctypes.CDLL:
    return load_library(emit_stepper(get_loop(key).kernels.forward_plan))


def stepper(module: Dynamics, x_t: State, state: State) -> Stepper:
    """The step of a module for frames like ``x_t`` [1, N].

    Raises:
        NotPointwise: if the step does not act on each element by itself, or puts out more than one tensor.
        CompilerUnavailableError: without a compiler.
    """
    with torch.no_grad():
        sequence = map_state(lambda frame: frame.unsqueeze(0), x_t)
        found, values = find_fused(module, sequence, state, "cpp")
        if found.cut is not None or found.counts_rows:
            raise NotPointwise(f"{type(module).__name__}: expected a step without products inside")
        plan = get_loop(found.key).kernels.forward_plan
        if len(plan.graph.outputs) != 1:
            raise NotPointwise(f"{type(module).__name__}: expected one output, got {len(plan.graph.outputs)}")
        frame = leaves(x_t)[0].shape
        if any(leaf.shape != frame for leaf in (*leaves(x_t), *leaves(state))):
            raise NotPointwise(f"{type(module).__name__}: expected inputs and states of one shape {tuple(frame)}")
        numbers = plain_numbers(found.numbers, found.numbers_dtype, sequence)
        parameters, inners = laid_out_all(values, frame, numbers)
        library = _library(found.key)
        alike, each = held_nodes(plan)
        length = -(-frame[-1] // WIDEST) * WIDEST
        held = [torch.zeros(_WIDEST_VECTOR, dtype=node.dtype) for node in alike]
        held += [torch.zeros(length, dtype=node.dtype) for node in each]
        used = [parameters[k].contiguous() for k in plan.parameters]
        sizes = [length, *parameter_layout(parameters, inners, plan.parameters)]
        library.prepare.restype = None
        library.prepare(*arrays([*used, *held], sizes))
    address = ctypes.cast(library.step, ctypes.c_void_p).value
    return Stepper(address, tuple(held), library)
