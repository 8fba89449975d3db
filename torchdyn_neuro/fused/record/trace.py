"""Recording of a step and of its vector-Jacobian product as one :class:`StepGraph`.

The step runs on tiny tensors of its own while a dispatch mode writes down every operation below autograd, so that the
``autograd.Function`` of a surrogate dissolves into plain operations. It runs twice: once with every operand at one
common shape, where no gradient is ever summed over a broadcast axis, and once with parameters that broadcast as they
really do. Both must record the same: what depends on shapes or on values, and not only on elements, shows here.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...core.repeat import repeats_go_to
from ...core.torch_private import DisableTorchFunction, run_backward
from .audit import Audit, Watch
from .builder import Refusal
from .graph import Node, StepGraph, ordered
from .numbers import Log
from .recorder import Operand, Recorder
from .repeat_recording import RepeatRecorder
from .synapses import NO_PAIRS, Pairs, full_shape

FlatStep = Callable[[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], tuple[Sequence[Tensor], Sequence[Tensor]]]
"""``(inputs, states, parameters) -> (outputs, next_states)`` on lists of tensors."""

Operands = tuple[Sequence[Operand], Sequence[Operand], Sequence[Operand]]
"""What goes with the inputs, states and parameters."""
Matrices = Sequence[tuple[int, int]]
"""The numbers of the widths of matrices, (outputs, inputs)."""


class NotPointwise(TypeError):  # noqa: N818 - it names a property of the step, like StopIteration
    """A step that is not elementwise, and so cannot become part of a fused loop."""


def trace_step(
    step: FlatStep,
    inputs: Sequence[Operand],
    states: Sequence[Operand],
    parameters: Sequence[Operand],
    audit: Audit | None = None,
    on_cpu: bool = True,
    log: Log | None = None,
    matrices: Matrices = (),
    pairs: Pairs = NO_PAIRS,
    lines: Sequence[int] = (),
) -> StepGraph:
    """Record a step.

    Args:
        step: the step on lists of tensors.
        inputs, states, parameters: what goes with each of its arguments.
        audit: sees the code that runs.
        on_cpu: whether the loop will run on a CPU, as the recording does.
        log: what is done is written there.
        matrices: of what widths the matrices of products are, (outputs, inputs); of one width if omitted.
        pairs: of what widths frames with a value for each synapse are, (post, pre).
        lines: the numbers of the states that are lines of past frames, for each of which one frame stands.

    Raises:
        NotPointwise: if an operation is not in the table, or the step depends on more than the elements.
    """
    audit, operands = audit or Audit(), (inputs, states, parameters)
    watch = Watch(audit, on_cpu)
    # Hooks on saved tensors, such as those of activation checkpointing, are not meant for the recorder's.
    hooks = torch.autograd.graph.saved_tensors_hooks(_keep, _kept)
    try:
        with hooks:
            graph = _record_twice(step, operands, watch, log or Log(), Widths(matrices, pairs), lines)
        if audit.refused:
            raise Refusal(audit.refused)
        return graph
    except Refusal as refusal:
        raise NotPointwise(audit.refused or str(refusal)).with_traceback(refusal.__traceback__) from None


def _keep(tensor: Tensor) -> tuple[Tensor, int]:
    with DisableTorchFunction():
        return tensor, tensor._version


def _kept(saved: tuple[Tensor, int]) -> Tensor:
    """What autograd does without hooks: of a tensor that has changed in place there is no derivative."""
    tensor, version = saved
    with DisableTorchFunction():
        changed = tensor._version != version
    if changed:
        raise Refusal("a tensor that its derivative needs, but that an operation in place has changed")
    return tensor


def trace_other_numbers(
    step: FlatStep,
    inputs: Sequence[Operand],
    states: Sequence[Operand],
    parameters: Sequence[Operand],
    on_cpu: bool,
    matrices: Matrices = (),
    pairs: Pairs = NO_PAIRS,
    lines: Sequence[int] = (),
) -> tuple[StepGraph, Log] | None:
    """Record a step once more, with other plain numbers; ``None`` if it cannot be recorded with these."""
    log, watch = Log(), Watch(Audit(deaf=True), on_cpu)
    try:
        with torch.autograd.graph.saved_tensors_hooks(_keep, _kept):
            operands, ndim = (inputs, states, parameters), len(inputs[0].broadcast)
            graph = _record(step, operands, ndim, watch, log, Widths(matrices, pairs), lines, alike=True)
    except Exception:
        # Whatever a step does with numbers that it was not given.
        return None
    return None if watch.audit.refused else (graph, log)


class Widths(NamedTuple):
    """The numbers of the widths of matrices, and of frames with a value for each synapse."""

    matrices: Matrices
    pairs: Pairs

    @property
    def several(self) -> bool:
        """Whether there are several."""
        return bool(self.matrices or self.pairs)


def _record_twice(
    step: FlatStep, operands: Operands, watch: Watch, log: Log, widths: Widths, lines: Sequence[int]
) -> StepGraph:
    ndim = len(operands[0][0].broadcast)
    as_they_are = _record(step, operands, ndim, watch, Log(), widths, lines, alike=False)
    if widths.pairs:
        # Parameters have the width of what they met.
        inputs, states, parameters = operands
        numbers = as_they_are.widths[3]
        operands = inputs, states, [replace(p, width=k) for p, k in zip(parameters, numbers, strict=True)]
    graph = _record(step, operands, ndim, watch, log, widths, lines, alike=True)
    if replace(graph, **dict.fromkeys((*_GRADIENTS, "outers"), ())).describe() != as_they_are.describe():
        raise NotPointwise("a dependence on the shapes or the values of the operands, not only on their elements")
    return graph


_GRADIENTS = ("state_gradients", "output_gradients", "grad_states", "grad_inputs", "grad_parameters", "grad_lines")


def _record(
    step: FlatStep,
    operands: Operands,
    ndim: int,
    watch: Watch,
    log: Log,
    widths: Widths,
    lines: Sequence[int],
    *,
    alike: bool,
) -> StepGraph:
    """Record once; ``alike``: with every operand of one shape, and with gradients."""
    recorder, audit = Recorder(watch.audit, log, *widths, ndim), watch.audit
    width, several = recorder.synapses.width, widths.several
    first = 5 if alike else 2
    shape = tuple(range(first, first + ndim))
    recorder.synapses.rows = first
    with torch.inference_mode(False):
        groups = [
            [recorder.leaf(o, shape, alike and not (several and _spreads(o)), group is operands[2]) for o in group]
            for group in operands
        ]
        (x, x_nodes), (s, s_nodes), (p, p_nodes) = (tuple(zip(*group, strict=True)) or ((), ()) for group in groups)
        recorder.lines.leaves = {s_nodes[k]: line for line, k in enumerate(lines)}
        repeats = RepeatRecorder(recorder, (*x_nodes, *s_nodes), p)
        with torch.set_grad_enabled(alike), recorder, watch, repeats_go_to(repeats), audit.listening():
            outputs, next_states = step(x, s, p)
        _check(outputs, next_states, x, s, shape, widths)
        held = [k for k in range(len(s)) if k not in lines]
        numbers = {}
        if several:
            of_each = [tuple(width(leaf) for leaf in group) for group in (x, [s[k] for k in held], outputs)]
            own = tuple(_met(recorder, node, o) for node, o in zip(p_nodes, operands[2], strict=True))
            numbers = {"matrices": tuple(widths.matrices), "widths": (*of_each, own)}
            numbers["pairs"] = tuple((number, *pair) for number, pair in widths.pairs.items() if pair)
            numbers |= {"shared": widths.pairs.shared, "row": recorder.synapses.numbers.get((), -1)}
        after, ys = (
            [_result(recorder, y, (*(s[k] for k in held), *x), several) for y in group]
            for group in (next_states, outputs)
        )
        given = recorder.lines.given([after[k] for k in lines], [*(after[k] for k in held), *ys])
        forward = numbers | {
            "states": tuple(s_nodes[k] for k in held),
            "inputs": x_nodes,
            "parameters": p_nodes,
            "next_states": tuple(after[k] for k in held),
            "outputs": tuple(ys),
            "lines": given,
            "line_places": tuple(lines),
        }
        if not alike:
            return StepGraph(**forward, **dict.fromkeys(_GRADIENTS, ()))
        results = [*next_states, *outputs]
        flat = (False,) * len(shape)
        arriving = [recorder.leaf(Operand(y.dtype, flat, False, width(y)), shape, True) for y in results]
        wanted = [leaf for leaf in (*s, *x, *p) if leaf.requires_grad]
        live = [(y, g) for y, (g, _) in zip(results, arriving, strict=True) if y.requires_grad]
        found: list[Tensor | None] = [None] * len(wanted)
        if wanted and live:
            ys, gs = zip(*live, strict=True)
            recorder.arriving = {node for _, node in arriving}
            with recorder, watch, audit.listening():
                # What torch.autograd.grad calls, without its checks of shapes, which import sympy: half a second.
                found = run_backward(ys, gs, False, False, tuple(wanted), True, accumulate_grad=False)
        log.note("results", *map(recorder.place, results), *(None if g is None else recorder.place(g) for g in found))
        grads = {id(leaf): recorder.whole(g) for leaf, g in zip(wanted, found, strict=True) if g is not None}
        return StepGraph(
            **forward,
            state_gradients=tuple(arriving[k][1] for k in held),
            output_gradients=tuple(node for _, node in arriving[len(s) :]),
            grad_states=tuple(grads.get(id(s[k])) for k in held),
            grad_inputs=tuple(grads.get(id(leaf)) for leaf in x),
            grad_parameters=tuple(_unrounded(grads.get(id(leaf))) for leaf in p),
            grad_lines=tuple(recorder.lines.gradients.get(line) for line in range(len(lines))),
            outers=(*recorder.outers, *recorder.lines.outers),
        )


def _result(recorder: Recorder, result: Tensor, frames: Sequence[Tensor], several: bool) -> Node:
    """The node of a result; where frames have several widths, one that tells its own."""
    node, homes = recorder.whole(result), recorder.synapses.homes
    if not several or any(homes.get(each) is not None for each in ordered([node])):
        return node
    like = next((leaf for leaf in frames if leaf.shape == result.shape and leaf.dtype == node.dtype), None)
    if like is None:
        raise Refusal("a result that follows from parameters alone")
    return recorder.beside(node, recorder.node(like))


def _met(recorder: Recorder, leaf: Node, operand: Operand) -> int:
    """The number of the width that a parameter has a gradient in."""
    met = recorder.synapses.met.get(leaf, ())
    if len(met) > 1 and not _spreads(operand):
        raise Refusal("a parameter with a gradient that meets frames of several widths")
    return next(iter(met)) if len(met) == 1 else operand.width


def _spreads(operand: Operand) -> bool:
    """Whether an operand may meet frames of any width; one with a gradient is of the first, for that is summed up."""
    return not operand.gradient and operand.broadcast[-1:] != (False,)


def _unrounded(gradient: Node | None) -> Node | None:
    """What is summed over neurons and steps for a parameter: as in torch, the sum is rounded, not its terms."""
    if gradient is None or gradient.op != "cast" or gradient.dtype == torch.float64:
        return gradient
    (exact,) = gradient.args
    return exact if exact.dtype in (torch.float32, torch.float64) else Node("cast", (exact,), torch.float32)


def _check(
    outputs: Sequence[Tensor],
    next_states: Sequence[Tensor],
    inputs: Sequence[Tensor],
    states: Sequence[Tensor],
    shape: tuple,
    widths: Widths,
) -> None:
    if len(next_states) != len(states):
        raise NotPointwise(f"a step that takes {len(states)} state tensors and returns {len(next_states)}")
    for before, after in zip(states, next_states, strict=True):
        if before.dtype != after.dtype:
            raise NotPointwise(f"a state that turns from {before.dtype} into {after.dtype}")
    sizes = {shape[-1], *(leaf.shape[-1] for leaf in (*inputs, *states) if widths.several)}
    every = (number for pair in (*widths.matrices, *widths.pairs.values()) for number in pair)
    sizes |= {full_shape(shape, number, NO_PAIRS)[-1] for number in every}
    frames = [(y, (*shape[:-1], y.shape[-1] if y.shape and y.shape[-1] in sizes else shape[-1])) for y in outputs]
    frames += [(after, tuple(before.shape)) for before, after in zip(states, next_states, strict=True)]
    if any(tuple(result.shape) != frame for result, frame in frames):
        raise NotPointwise("a result whose shape is not that of the frame")


def explained(module: nn.Module, error: Exception) -> str:
    """What stood in the way of a recording, as a sentence about the module."""
    owner, inner = type(module).__name__, _innermost(error.__traceback__)
    place = f"{owner}: expected" if inner in (None, owner) else f"{owner}: expected of {inner} inside it"
    what = str(error) if isinstance(error, NotPointwise) else f"a failure in its step ({type(error).__name__}: {error})"
    return (
        f"{place} a step that acts on each element by itself, got {what}; write it with elementwise operations of its "
        "arguments and quantities, or run it with backend('eager')"
    )


def _innermost(traceback: TracebackType | None) -> str | None:
    """The class of the innermost module at work."""
    name = None
    while traceback is not None:
        owner = traceback.tb_frame.f_locals.get("self")
        if isinstance(owner, nn.Module):
            name = type(owner).__name__
        traceback = traceback.tb_next
    return name
