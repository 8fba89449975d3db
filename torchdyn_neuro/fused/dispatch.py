"""From a module to its recorded step, remembered for each kind of call, and from that to the operators."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..core.dynamics import Dynamics
from ..core.state import State, fill, first_frame, leaves
from ..core.torch_private import assume_constant_result
from ..native.compiler import CompilerUnavailableError
from .beside import number_of_rows, plain_numbers
from .layout import laid_out_all, memory_order
from .operators import runtime
from .operators.registry import get_loop, loop_key, unavailable
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
from .recurrent.cut_runtime import ready_cut
from .signature import Signature, classes_of, of_classes, signature


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
                self.cut.compile() if self.cut else get_loop(self.key).kernels.compile(training=self.training)
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
    found, _ = _fuse_values(module, call, language)
    found.compile()
    return found


def _fuse_values(module: Dynamics, call: Signature, language: str) -> tuple[Fused, list[Tensor]]:
    """The recorded step and the values of its parameters."""
    training = torch.is_grad_enabled()
    known = recordings_of(module)
    rest = classes_of(call.x), classes_of(call.state), language, training, ambient()
    kind = call if known.by_width else call._replace(widths=None), *rest
    found = known.find(kind) if observed() is None else None
    if found is None:
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
    result = recording.result
    return result, [*(values[k] for k in result.used), *(recording.matrix_values() if result.cut else ())]


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


def find_fused(
    module: Dynamics, x: State, state: State, language: str, output_dtype: torch.dtype | None = None
) -> tuple[Fused, list[Tensor]]:
    """The recorded step for a call and the values of its parameters; raises :class:`NotPointwise`."""
    return fuse_call(module, signature(x, state, output_dtype), language, first_frame(x), state)


def fuse_call(module: Dynamics, call: Signature, language: str, x_t: State, state: State) -> tuple[Fused, list[Tensor]]:
    """:func:`find_fused` also while torch compiles the call; ``x_t`` and ``state`` are what the step would get."""
    if not torch.compiler.is_compiling():
        return _fuse_values(module, call, language)
    # The result is not used: it makes the compiler watch everything that the step reads.
    module.step(x_t, state)
    # In plain tuples: torch 2.14 hands over a named one without its content.
    plain = classes_of(call.x), classes_of(call.state), call.tensors, call.output_dtype
    found = _fuse_while_compiling(id(module), plain, language, torch.is_grad_enabled())
    if found is None:
        raise NotPointwise(f"{type(module).__name__}: expected a step that acts on each element by itself")
    places = (*found.step.sources, *(found.step.matrices if found.cut else ()))
    return found, [source.value(module) for source in places]


def ready_fused(
    module: Dynamics, x: State, state: State, language: str, output_dtype: torch.dtype | None = None
) -> Callable[[], tuple[State, State]]:
    """What runs ``module`` as one kernel, and compiles it then; raises what :func:`fuse` raises."""
    found, values = find_fused(module, x, state, language, output_dtype)
    check_compiled(found, language)
    if found.cut is not None:
        if not torch.compiler.is_compiling():
            found.compile()
        count, marks = len(found.used), _without_gradient(found, x)
        beside = [numbers for numbers in (plain_numbers(found.numbers, found.numbers_dtype, x),) if numbers is not None]
        beside += [number_of_rows(x)] if found.counts_rows else []
        operands = values[:count], values[count:], beside
        return ready_cut(module, found.owner, found.cut, found.step.output, *operands, x, state, marks)
    sequences, states = leaves(x), leaves(state)
    shapes = [*(leaf.shape[1:] for leaf in sequences), *(leaf.shape for leaf in states)]
    frame = shapes[0]
    if any(shape != frame for shape in shapes):
        # Only where it is needed, for its first call imports sympy: half a second.
        try:
            frame = torch.broadcast_shapes(*shapes)
        except RuntimeError:
            listed = ", ".join(str(tuple(shape)) for shape in dict.fromkeys(shapes))
            raise NotPointwise(explained(module, NotPointwise(f"frames of different shapes, {listed}"))) from None
    for value in values:
        if any(size not in (1, goal) for size, goal in zip(value.shape[::-1], frame[::-1], strict=False)):
            raise NotPointwise(
                f"{type(module).__name__}: expected parameters that broadcast to a frame {tuple(frame)}, got one of "
                f"shape {tuple(value.shape)}; run it with backend('eager')"
            )
    return partial(_run, found, values, sequences, states, frame, x, state)


def _run(
    found: Fused,
    values: list[Tensor],
    sequences: list[Tensor],
    states: list[Tensor],
    frame: torch.Size,
    x: State,
    state: State,
) -> tuple[State, State]:
    """The loop of a step without products; ``frame`` is what the leaves of ``x`` and ``state`` broadcast to."""
    if not torch.compiler.is_compiling():
        found.compile()
    sequences = [leaf if leaf.shape[1:] == frame else leaf.expand(leaf.shape[0], *frame) for leaf in sequences]
    states = [leaf if leaf.shape == frame else leaf.expand(frame) for leaf in states]
    order = None if torch.compiler.is_compiling() else memory_order(sequences[0][0])
    if order is not None:
        sequences = [leaf.permute(0, *(1 + axis for axis in order)) for leaf in sequences]
        states = [leaf.permute(order) for leaf in states]
        values = [value.reshape((1,) * (len(order) - value.ndim) + value.shape).permute(order) for value in values]
        frame = states[0].shape if states else sequences[0].shape[1:]
    parameters, inners = laid_out_all(values, frame, plain_numbers(found.numbers, found.numbers_dtype, x))
    training = torch.is_grad_enabled() and any(t.requires_grad for t in (*sequences, *states, *parameters))
    marks = _without_gradient(found, x) if training else ()
    results = runtime.run_loop(found.key, found.owner, sequences, states, parameters, inners, training, marks)
    outputs = len(leaves(found.step.output))
    ys, last = results[:outputs], results[outputs : outputs + len(states)]
    if order is not None:
        back = sorted(range(len(order)), key=order.__getitem__)
        ys = [y.permute(0, *(1 + axis for axis in back)) for y in ys]
        last = [leaf.permute(back) for leaf in last]
    return fill(found.step.output, ys), fill(state, last)


def check_compiled(found: Fused, language: str) -> None:
    """Raise ``CompilerUnavailableError`` if a step was not compiled, or will not be."""
    if not torch.compiler.is_compiling() and (found.tried or unavailable(language)):
        found.compile()


def _without_gradient(found: Fused, x: State) -> list[int]:
    """The numbers of the outputs and last states that have no gradient, whatever wants one."""
    if found.differentiable is None or torch.compiler.is_compiling():
        return []
    flags = found.differentiable.after(leaves(x)[0].shape[0])
    return [k for k, wanted in enumerate(flags) if not wanted]


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
