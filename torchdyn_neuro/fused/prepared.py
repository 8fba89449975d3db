"""A call that has been worked out once: what only depends on its kind is not found again by the next of that kind.

A kind is the structure of input and state, and of each tensor its type, shape, layout, device and whether it wants a
gradient; with it, the settings of torch. The values of the module, and whether it still is what was recorded, are asked
at every call.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..core.dynamics import Dynamics
from ..core.state import State, fill, leaves
from ..core.tensors import last_axes_fit
from .beside import number_of_rows, plain_numbers
from .fuse import Fused, own_values
from .layout import laid_out_all, memory_order
from .operators import runtime
from .operators.registry import unavailable
from .record.recording import Recording
from .record.trace import NotPointwise, explained
from .recurrent.cut_runtime import ready_cut

Ready = Callable[[], tuple[State, State]]


def described(tree: State) -> Any:
    """What of an input or a state belongs to the kind of a call."""
    if isinstance(tree, tuple):
        return (tree.__class__, *[described(child) for child in tree])
    return tree.dtype, tree.shape, tree.stride(), tree.device, tree.requires_grad


@dataclass(frozen=True, eq=False)
class Prepared:
    """A call of one kind.

    Args:
        recording: says whether it holds, and for which values.
        language: of the loop.
        places: shapes and devices of these values.
        make: from the module, these values, input and state to what runs the call.
    """

    recording: Recording
    language: str
    places: list[tuple[torch.Size, torch.device]]
    make: Callable[[Dynamics, list[Tensor], State, State], Ready]

    def ready(self, module: Dynamics, x: State, state: State) -> Ready | None:
        """What runs a call of this kind; ``None`` if it has to be worked out again."""
        values = self.recording.values()
        if values is None:
            return None
        own = own_values(self.recording, values)
        if [(value.shape, value.device) for value in own] != self.places:
            return None
        check_compiled(self.recording.result, self.language)
        return self.with_values(module, own, x, state)

    def with_values(self, module: Dynamics, values: list[Tensor], x: State, state: State) -> Ready:
        """What runs a call of this kind with these values."""
        return self.make(module, values, x, state)


def prepare(
    module: Dynamics, found: Fused, recording: Recording, values: list[Tensor], language: str, x: State, state: State
) -> Prepared:
    """Work out a call.

    Raises:
        NotPointwise: if the shapes do not go together.
    """
    if found.cut is not None:
        make = partial(_ready_cut, found, _without_gradient(found, x))
    else:
        make = _Loop(module, found, values, x, state).ready
    return Prepared(recording, language, [(value.shape, value.device) for value in values], make)


def ready_while_compiling(module: Dynamics, found: Fused, values: list[Tensor], x: State, state: State) -> Ready:
    """What runs a call that torch compiles, for which nothing is kept."""
    if found.cut is not None:
        return _ready_cut(found, [], module, values, x, state)
    return _Loop(module, found, values, x, state).ready(module, values, x, state)


def check_compiled(found: Fused, language: str) -> None:
    """Raise ``CompilerUnavailableError`` if a step was not compiled, or will not be."""
    if found.tried or unavailable(language):
        found.compile()


def _ready_cut(found: Fused, marks: list[int], module: Dynamics, values: list[Tensor], x: State, state: State) -> Ready:
    """What runs a step with products."""
    if not torch.compiler.is_compiling():
        found.compile()
    count = len(found.used)
    beside = [numbers for numbers in (plain_numbers(found.numbers, found.numbers_dtype, x),) if numbers is not None]
    beside += [number_of_rows(x)] if found.counts_rows else []
    operands = values[:count], values[count:], beside
    return ready_cut(module, found.owner, found.cut, found.step.output, *operands, x, state, marks)


class _Loop:
    """The loop of a step without products, over calls of one kind.

    Args:
        module: whose step it is.
        found: the step.
        values: of its parameters.
        x: input.
        state: first state.
    """

    def __init__(self, module: Dynamics, found: Fused, values: list[Tensor], x: State, state: State):
        self.found, self.order, compiling = found, None, torch.compiler.is_compiling()
        sequences, states = leaves(x), leaves(state)
        self.frame = _common_frame(module, values, sequences, states)
        sequences, states = self._arranged(sequences, states)
        self.order = None if compiling else memory_order(sequences[0][0])
        self.marks = [] if compiling else _without_gradient(found, x)
        operands, self.inners = self._operands(values, x)
        self.as_they_are = all(map(operator.is_, operands, values))
        self.training = torch.is_grad_enabled() and any(t.requires_grad for t in (*sequences, *states, *operands))

    def ready(self, module: Dynamics, values: list[Tensor], x: State, state: State) -> Ready:
        """What runs a call of this kind."""
        return partial(self.run, values, x, state)

    def run(self, values: list[Tensor], x: State, state: State) -> tuple[State, State]:
        """Outputs and last states."""
        found = self.found
        if not torch.compiler.is_compiling():
            found.compile()
        sequences, states = self._arranged(leaves(x), leaves(state))
        if self.as_they_are:
            numbers = plain_numbers(found.numbers, found.numbers_dtype, x)
            operands = values if numbers is None else [*values, numbers]
        else:
            operands, _ = self._operands(values, x)
        marks = self.marks if self.training else ()
        results = runtime.run_loop(
            found.key, found.owner, sequences, states, operands, self.inners, self.training, marks
        )
        outputs = len(leaves(found.step.output))
        ys, last = results[:outputs], results[outputs : outputs + len(states)]
        if self.order is not None:
            back = sorted(range(len(self.order)), key=self.order.__getitem__)
            ys = [y.permute(0, *(1 + axis for axis in back)) for y in ys]
            last = [leaf.permute(back) for leaf in last]
        return fill(found.step.output, ys), fill(state, last)

    def _arranged(self, sequences: list[Tensor], states: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Sequences and states of whole frames, whose axes are in the order in which they lie in memory."""
        frame, order = self.frame, self.order
        sequences = [leaf if leaf.shape[1:] == frame else leaf.expand(leaf.shape[0], *frame) for leaf in sequences]
        states = [leaf if leaf.shape == frame else leaf.expand(frame) for leaf in states]
        if order is not None:
            sequences = [leaf.permute(0, *(1 + axis for axis in order)) for leaf in sequences]
            states = [leaf.permute(order) for leaf in states]
        return sequences, states

    def _operands(self, values: list[Tensor], x: State) -> tuple[list[Tensor], list[int]]:
        """Parameters and plain numbers, and how they lie in a frame."""
        frame, order = self.frame, self.order
        if order is not None:
            values = [value.reshape((1,) * (len(order) - value.ndim) + value.shape).permute(order) for value in values]
            frame = torch.Size(frame[axis] for axis in order)
        return laid_out_all(values, frame, plain_numbers(self.found.numbers, self.found.numbers_dtype, x))


def _common_frame(module: Dynamics, values: list[Tensor], sequences: list[Tensor], states: list[Tensor]) -> torch.Size:
    """What the frames of inputs and states broadcast to; raises ``NotPointwise`` unless the parameters do, too."""
    shapes = [*(leaf.shape[1:] for leaf in sequences), *(leaf.shape for leaf in states)]
    frame = shapes[0]
    if any(shape != frame for shape in shapes):
        # Only where it is needed, for its first call imports sympy: half a second.
        try:
            frame = torch.broadcast_shapes(*shapes)
        except RuntimeError:
            listed = ", ".join(str(tuple(shape)) for shape in dict.fromkeys(shapes))
            raise NotPointwise(explained(module, NotPointwise(f"frames of different shapes, {listed}"))) from None
    device = sequences[0].device
    for value in values:
        if value.device != device:
            raise NotPointwise(
                f"{type(module).__name__}: expected parameters on {device}, where the input is, got one on "
                f"{value.device}; call module.to(x.device)"
            )
        if not last_axes_fit(value.shape, frame):
            raise NotPointwise(
                f"{type(module).__name__}: expected parameters that broadcast to a frame {tuple(frame)}, got one of "
                f"shape {tuple(value.shape)}; run it with backend('eager')"
            )
    return frame


def _without_gradient(found: Fused, x: State) -> list[int]:
    """The numbers of the outputs and last states that have no gradient, whatever wants one."""
    if found.differentiable is None or torch.compiler.is_compiling():
        return []
    flags = found.differentiable.after(leaves(x)[0].shape[0])
    return [k for k, wanted in enumerate(flags) if not wanted]
