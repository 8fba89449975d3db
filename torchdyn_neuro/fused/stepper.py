"""The step of a cell as a compiled function, for a loop over time that is not this package's own."""

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.dynamics import Dynamics
from ..core.state import State, leaves, map_state
from ..native.compiler import VECTORS, arrays, load_library
from .beside import plain_numbers
from .cpp.kernels import parameter_layout
from .cpp.reverse import emit_reverse, reverse_holds
from .cpp.stepper import emit_stepper, stepper_holds
from .dispatch import find_fused
from .fuse import Fused
from .layout import laid_out_all
from .operators import runtime
from .operators.registry import get_loop
from .plan.loops import BackwardPlan, ForwardPlan
from .record.graph import Node
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


@dataclass(frozen=True, eq=False)
class Recorded:
    """A step with its derivative.

    Args:
        found: the recording.
        values: of its parameters, with their gradient.
        frame: the shape of inputs and states.
    """

    found: Fused
    values: list[Tensor]
    frame: torch.Size

    @property
    def forward(self) -> ForwardPlan:
        """Of the step."""
        return _forward(self.found.key)[0]

    @property
    def plan(self) -> BackwardPlan:
        """Of the derivative."""
        return get_loop(self.found.key).backward_plan

    @property
    def learned(self) -> tuple[int, ...]:
        """The numbers of the values that have a gradient."""
        return get_loop(self.found.key).grad_parameters

    def step(self) -> Stepper:
        """The step as a function."""
        library = _library(self.found.key)
        held = self._held(library, *_forward(self.found.key), self.values)
        return Stepper(_address(library.step), held, library)

    def reverse(self, values: Sequence[Tensor]) -> "Reverse":
        """Its derivative, with parameters of these values."""
        library = _reverse_library(self.found.key)
        held = self._held(library, *_backward(self.found.key), values)
        return Reverse(_address(library.replay), _address(library.reverse), held, library)

    def summed(self, number: int, sums: Tensor) -> Tensor:
        """The gradient of a value from that of each neuron."""
        return runtime.summed(sums[: self.frame[-1]], self.values[number], self.frame)

    def _held(
        self,
        library: ctypes.CDLL,
        plan: ForwardPlan | BackwardPlan,
        nodes: tuple[list[Node], list[Node]],
        values: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        numbers = plain_numbers(self.found.numbers, self.found.numbers_dtype, torch.zeros(0))
        parameters, inners = laid_out_all([value.detach().cpu() for value in values], self.frame, numbers)
        alike, each = nodes
        length = -(-self.frame[-1] // WIDEST) * WIDEST
        held = [torch.zeros(_WIDEST_VECTOR, dtype=node.dtype) for node in alike]
        held += [torch.zeros(length, dtype=node.dtype) for node in each]
        used = [parameters[k].contiguous() for k in plan.parameters]
        sizes = [length, *parameter_layout(parameters, inners, plan.parameters)]
        library.prepare.restype = None
        library.prepare(*arrays([*used, *held], sizes))
        return tuple(held)


@dataclass(frozen=True, eq=False)
class Reverse:
    """A compiled derivative.

    Args:
        replay, reverse: addresses of the functions; see :func:`~torchdyn_neuro.fused.cpp.reverse.emit_reverse`.
        held: what they take.
        library: keeps them loaded.
    """

    replay: int
    reverse: int
    held: tuple[Tensor, ...]
    library: ctypes.CDLL


@functools.cache
def _forward(key: str) -> tuple[ForwardPlan, tuple[list[Node], list[Node]]]:
    """A plan, and what its functions hold."""
    plan = get_loop(key).kernels.forward_plan
    return plan, stepper_holds(plan)


@functools.cache
def _backward(key: str) -> tuple[BackwardPlan, tuple[list[Node], list[Node]]]:
    plan = get_loop(key).backward_plan
    return plan, reverse_holds(plan)


@functools.cache
def _library(key: str) -> ctypes.CDLL:
    return load_library(emit_stepper(get_loop(key).kernels.forward_plan), VECTORS)


@functools.cache
def _reverse_library(key: str) -> ctypes.CDLL:
    return load_library(emit_reverse(get_loop(key).backward_plan), VECTORS)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value


def recorded(module: Dynamics, x_t: State, state: State) -> Recorded:
    """The step of a module for frames like ``x_t`` [1, N], with its derivative where gradients are enabled.

    Raises:
        NotPointwise: if the step does not act on each element by itself, or puts out more than one tensor.
        CompilerUnavailableError: without a compiler.
    """
    sequence = map_state(lambda frame: frame.unsqueeze(0), x_t)
    found, values = find_fused(module, sequence, state, "cpp")
    if found.cut is not None or found.counts_rows:
        raise NotPointwise(f"{type(module).__name__}: expected a step without products inside")
    graph = get_loop(found.key).graph
    if len(graph.outputs) != 1:
        raise NotPointwise(f"{type(module).__name__}: expected one output, got {len(graph.outputs)}")
    frame = leaves(x_t)[0].shape
    if any(leaf.shape != frame for leaf in (*leaves(x_t), *leaves(state))):
        raise NotPointwise(f"{type(module).__name__}: expected inputs and states of one shape {tuple(frame)}")
    return Recorded(found, values, frame)


def stepper(module: Dynamics, x_t: State, state: State) -> Stepper:
    """The step of a module for frames like ``x_t`` [1, N]; raises as :func:`recorded` does."""
    with torch.no_grad():
        return recorded(module, x_t, state).step()
