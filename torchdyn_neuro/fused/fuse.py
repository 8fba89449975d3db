"""From a module to its recorded step and the loop of it, remembered for each kind of call."""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..core.dynamics import Dynamics
from ..core.state import leaves
from ..native.compiler import CompilerUnavailableError
from .operators.registry import compile_loops, loop_key
from .operators.replay import register_step
from .plan.loops import loop_parameters
from .record.gradients import Differentiable, differentiable
from .record.graph import counted_rows
from .record.guards import ambient, observed
from .record.numbers import with_uniform
from .record.recorder import Operand
from .record.recording import Recording, recordings_of
from .record.step import FrozenStep
from .record.trace import NotPointwise, explained
from .recurrent.cut import Cut, cut_of, cut_parameters
from .signature import Signature, classes_of


@dataclass(frozen=True, eq=False)
class Fused:
    """A module's step, recorded for one signature.

    Args:
        step: the step on lists of tensors, with the places of its parameters.
        used: the numbers of those parameters among all operands of the recording.
        owner: its number for second derivatives.
        key: the key of its loop; empty where there are products inside the step.
        cut: the loop of a step with products.
        differentiable: which results have a gradient; absent where none is wanted.
        numbers: the plain numbers of the step, which its loop takes behind its parameters.
        numbers_dtype: their type.
        counts_rows: whether the number of rows follows behind them.
        training: whether gradients are wanted.
        tried: what came of compiling it, ``None`` if all is well; empty until then.
    """

    step: FrozenStep
    used: tuple[int, ...]
    owner: int
    key: str
    cut: Cut | None = None
    differentiable: Differentiable | None = None
    numbers: tuple[float, ...] = ()
    numbers_dtype: torch.dtype = torch.float32
    counts_rows: bool = False
    training: bool = False
    tried: list[CompilerUnavailableError | None] = field(default_factory=list)

    def compile(self) -> None:
        """Compile what has not been compiled; raises ``CompilerUnavailableError``."""
        if not self.tried:
            try:
                self.cut.compile() if self.cut else compile_loops([self.key], training=self.training)
                self.tried.append(None)
            except CompilerUnavailableError as error:
                self.tried.append(error.with_traceback(None))
        if self.tried[0] is not None:
            raise self.tried[0]


def fuse(module: Dynamics, call: Signature, language: str) -> Fused:
    """The recorded step of a module, compiled for ``language``.

    Raises:
        NotPointwise: if the step cannot fuse.
        CompilerUnavailableError: if there is no compiler that works.
    """
    found, *_ = fuse_values(module, call, language)
    found.compile()
    return found


def fuse_values(module: Dynamics, call: Signature, language: str) -> tuple[Fused, list[Tensor], Recording]:
    """The recorded step, the values of its parameters, and the recording, which says for how long they hold."""
    training = torch.is_grad_enabled()
    known = recordings_of(module)
    rest = classes_of(call.x), classes_of(call.state), language, training, ambient()
    kind = call if known.by_width else call._replace(widths=None), *rest
    found = known.find(kind) if observed() is None else None
    if found is None:
        # What is kept for the backward pass of a recording is none of the call's: activation checkpointing counts it.
        with torch.autograd.graph.saved_tensors_hooks(_itself, _itself):
            try:
                recording = Recording(module, training)
            except NotPointwise as error:
                raise NotPointwise(explained(module, error)) from None
            try:
                recording.result = _fuse(module, recording, call, language)
            except NotPointwise as error:
                recording.result = error.with_traceback(None)
        known.by_width |= recording.by_width
        known.add((call if known.by_width else call._replace(widths=None), *rest), recording)
        # Only what was read is needed from now on.
        recording.frozen = None
        found = recording, recording.operands()
    recording, values = found
    if isinstance(recording.result, Exception):
        raise recording.result
    return recording.result, own_values(recording, values), recording


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def own_values(recording: Recording, values: list[Tensor]) -> list[Tensor]:
    """Those of all values that the step reads, and behind them the matrices of its products."""
    result = recording.result
    return [*(values[k] for k in result.used), *(recording.matrix_values() if result.cut else ())]


def _fuse(module: Dynamics, recording: Recording, call: Signature, language: str) -> Fused:
    operands = [Operand(*description) for description in call.tensors]
    values = [Operand(*description) for description in recording.described]
    count = len(leaves(call.x))
    ndim = max(len(operand.broadcast) for operand in operands[:count])
    # A state that learns is on the way of every gradient.
    by_matrix = any(wanted for _, wanted, _ in recording.described_matrices)
    training = by_matrix or any(operand.gradient for operand in (*operands, *values))
    inputs, states = operands[:count], operands[count:]
    # What a matrix is multiplied by and the gradient of the product are found on the way to the input.
    inputs = [replace(x, gradient=x.gradient or (by_matrix and x.dtype.is_floating_point)) for x in inputs]
    states = [replace(operand, gradient=training and operand.dtype.is_floating_point) for operand in states]
    (inputs, states, values), matrices, pairs = recording.with_widths((inputs, states, values), call.widths)
    fitting = [k for k, value in enumerate(values) if len(value.broadcast) <= ndim]
    sources = [recording.sources[k] for k in fitting]
    step = recording.frozen_step(sources, call.x, call.state, call.output_dtype)
    try:
        if any(len(o.broadcast) != pairs.axes(o.width, ndim) for o in (*inputs, *states)):
            axes = sorted({len(operand.broadcast) for operand in operands})
            raise NotPointwise(f"inputs and states with {' and '.join(map(str, axes))} axes")
        if pairs and language != "cpp":
            raise NotPointwise("states with a value for each synapse on a GPU")
        fit = [values[k] for k in fitting]
        if (matrices or pairs) and any(
            value.broadcast[-1:] == (True,) and not all(value.broadcast) and value.width not in pairs for value in fit
        ):
            raise NotPointwise("frames of several widths and a parameter of one value for each row of neurons")
        graph = recording.trace(step, inputs, states, fit, language == "cpp", matrices, pairs)
    except Exception as error:
        # A step that fails on the recorder's small tensors is not one that treats every element alike, either.
        raise NotPointwise(explained(module, error)) from None
    products = graph.has_products
    if (matrices or pairs) and not products:
        raise NotPointwise(explained(module, NotPointwise("frames of several widths and no product between them")))
    used = cut_parameters(graph) if products else loop_parameters(graph)
    step = step.with_sources(used, fit)
    flags = None
    if training:
        # Of the inputs and states as they came, before more gradients were asked for on the way.
        operands = [Operand(*description) for description in call.tensors]
        own = [values[fitting[k]] for k in used]
        flags = differentiable(step, operands[:count], operands[count:], own, recording.described_matrices)
    graph = replace(
        graph,
        parameters=tuple(graph.parameters[k] for k in used),
        widths=(*graph.widths[:3], tuple(graph.widths[3][k] for k in used) if graph.widths[3] else ()),
        grad_parameters=tuple(graph.grad_parameters[k] for k in used),
        uniform=frozenset(number for number, k in enumerate(used) if all(values[fitting[k]].broadcast)),
    )
    plain: dict[str, Any] = {}
    if recording.numbers is not None:
        graph = recording.numbers.added_to(graph)
        plain = {"numbers": recording.numbers.values, "numbers_dtype": recording.numbers.leaf.dtype}
    rows = counted_rows(graph)
    if rows is not None:
        graph = with_uniform(graph, rows)
    key, cut = "", None
    if products:
        cut = cut_of(graph, training, language)
    else:
        key = loop_key(graph, language)
    used = tuple(fitting[k] for k in used)
    plain["counts_rows"] = rows is not None
    return Fused(step, used, register_step(step), key, cut, flags, training=training, **plain)
