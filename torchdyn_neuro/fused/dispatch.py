"""From a module to its recorded step, remembered for each kind of call, and from that to the operators."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.dynamics import Dynamics
from ..core.state import State, fill, first_frame, leaves
from . import runtime
from .compiler import CompilerUnavailableError
from .eager import register_step
from .graph import StepGraph
from .operands import ModuleStep, Source, structure, survey
from .plan import plan_backward, plan_forward
from .recorder import Operand
from .registry import get_loop, loop_key
from .trace import NotPointwise, trace_step

_MOST_REMEMBERED = 64
_remembered: "weakref.WeakKeyDictionary[nn.Module, dict]" = weakref.WeakKeyDictionary()


class Signature(NamedTuple):
    """What the recording of a step depends on, besides the module."""

    x: State
    state: State
    tensors: tuple[tuple[torch.dtype, tuple[bool, ...], bool], ...]
    output_dtype: torch.dtype | None


@dataclass(frozen=True, eq=False)
class Fused:
    """A module's step, recorded for one signature.

    Args:
        step: the step on lists of tensors, with the places of its parameters.
        used: the numbers of those parameters among all that :func:`survey` finds.
        owner: its number for second derivatives.
        key: the key of its loop.
    """

    step: ModuleStep
    used: tuple[int, ...]
    owner: int
    key: str


def signature(x: State, state: State, output_dtype: torch.dtype | None) -> Signature:
    """The signature of a call."""
    training = torch.is_grad_enabled()
    tensors = [(leaf.dtype, (False,) * (leaf.ndim - 1), training and leaf.requires_grad) for leaf in leaves(x)]
    tensors += [(leaf.dtype, (False,) * leaf.ndim, training and leaf.requires_grad) for leaf in leaves(state)]
    return Signature(structure(x), structure(state), tuple(tensors), output_dtype)


def fuse(module: Dynamics, call: Signature, language: str) -> Fused:
    """The recorded step of a module, compiled for ``language``.

    Raises:
        NotPointwise: if the step cannot fuse.
        CompilerUnavailableError: if there is no compiler that works.
    """
    return _fuse_values(module, call, language)[0]


def _fuse_values(module: Dynamics, call: Signature, language: str) -> tuple[Fused, list[Tensor]]:
    """The recorded step and the values of its parameters."""
    sources, values, fingerprint = survey(module)
    training = torch.is_grad_enabled()
    described = tuple((v.dtype, tuple(size == 1 for size in v.shape), training and v.requires_grad) for v in values)
    kind = (fingerprint, call, _classes(call.x), _classes(call.state), described, language)
    known = _remembered.setdefault(module, {})
    found = known.get(kind)
    if found is None:
        if len(known) >= _MOST_REMEMBERED:
            known.clear()
        try:
            found = _fuse(module, call, sources, [Operand(*description) for description in described], language)
        except (NotPointwise, CompilerUnavailableError) as error:
            found = error.with_traceback(None)
        known[kind] = found
    if isinstance(found, Exception):
        raise found
    return found, [values[k] for k in found.used]


def _classes(tree: State) -> Any:
    """Named tuples of one content are equal; their classes tell them apart."""
    return (tree.__class__, *map(_classes, tree)) if isinstance(tree, tuple) else tree


def _of_classes(classes: Any) -> State:
    """The structure that :func:`_classes` describes."""
    if not isinstance(classes, tuple):
        return classes
    kind, *children = classes
    children = map(_of_classes, children)
    return kind(*children) if hasattr(kind, "_fields") else tuple(children)


def _fuse(module: Dynamics, call: Signature, sources: list[Source], values: list[Operand], language: str) -> Fused:
    operands = [Operand(*description) for description in call.tensors]
    count = len(leaves(call.x))
    ndim = max(len(operand.broadcast) for operand in operands)
    # A state that learns is on the way of every gradient.
    training = any(operand.gradient for operand in (*operands, *values))
    inputs, states = operands[:count], operands[count:]
    states = [replace(operand, gradient=training and operand.dtype.is_floating_point) for operand in states]
    fitting = [k for k, value in enumerate(values) if len(value.broadcast) <= ndim]
    step = ModuleStep(module, [sources[k] for k in fitting], call.x, call.state, call.output_dtype)
    try:
        if any(len(operand.broadcast) != ndim for operand in operands):
            raise NotPointwise("inputs and states with different numbers of axes")
        graph = trace_step(step, inputs, states, [values[k] for k in fitting])
    except NotPointwise as error:
        raise NotPointwise(_explain(module, error)) from None
    except Exception as error:
        # A step that fails on the recorder's small tensors is not one that treats every element alike.
        raise NotPointwise(_explain(module, error)) from None
    used = _used_parameters(graph)
    step, output = (
        ModuleStep(module, [step.sources[k] for k in used], call.x, call.state, call.output_dtype),
        step.output,
    )
    step.output = output
    graph = replace(
        graph,
        parameters=tuple(graph.parameters[k] for k in used),
        grad_parameters=tuple(graph.grad_parameters[k] for k in used),
        uniform=frozenset(number for number, k in enumerate(used) if all(values[fitting[k]].broadcast)),
    )
    key = loop_key(graph, language)
    get_loop(key).kernels.compile(training=training)
    return Fused(step, tuple(fitting[k] for k in used), register_step(step), key)


def _used_parameters(graph: StepGraph) -> list[int]:
    read = {*plan_forward(graph).parameters, *plan_backward(graph).parameters}
    return [k for k in range(len(graph.parameters)) if k in read or graph.grad_parameters[k] is not None]


def _explain(module: nn.Module, error: Exception) -> str:
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


def find_fused(
    module: Dynamics, x: State, state: State, language: str, output_dtype: torch.dtype | None = None
) -> tuple[Fused, list[Tensor]]:
    """The recorded step for a call and the values of its parameters; raises what :func:`fuse` raises."""
    return fuse_call(module, signature(x, state, output_dtype), language, first_frame(x), state)


def fuse_call(module: Dynamics, call: Signature, language: str, x_t: State, state: State) -> tuple[Fused, list[Tensor]]:
    """:func:`find_fused` also while torch compiles the call; ``x_t`` and ``state`` are what the step would get."""
    if not torch.compiler.is_compiling():
        return _fuse_values(module, call, language)
    # The result is not used: it makes the compiler watch everything that the step reads.
    module.step(x_t, state)
    # In plain tuples: torch 2.14 hands over a named one without its content.
    plain = _classes(call.x), _classes(call.state), call.tensors, call.output_dtype
    found = _fuse_while_compiling(module, plain, language, torch.is_grad_enabled())
    if found is None:
        raise NotPointwise(f"{type(module).__name__}: expected a step that acts on each element by itself")
    return found, [source.value(module) for source in found.step.sources]


def run_fused(
    module: Dynamics, x: State, state: State, language: str, output_dtype: torch.dtype | None = None
) -> tuple[State, State]:
    """The loop of ``module`` as one kernel; raises what :func:`fuse` raises."""
    found, values = find_fused(module, x, state, language, output_dtype)
    sequences, states = leaves(x), leaves(state)
    shapes = [*(leaf.shape[1:] for leaf in sequences), *(leaf.shape for leaf in states)]
    frame = shapes[0]
    if any(shape != frame for shape in shapes):
        # Only where it is needed, for its first call imports sympy: half a second.
        frame = torch.broadcast_shapes(*shapes)
    for value in values:
        if any(size not in (1, goal) for size, goal in zip(value.shape[::-1], frame[::-1], strict=False)):
            raise NotPointwise(
                f"{type(module).__name__}: expected parameters that broadcast to a frame {tuple(frame)}, got one of "
                f"shape {tuple(value.shape)}; run it with backend('eager')"
            )
    sequences = [leaf if leaf.shape[1:] == frame else leaf.expand(leaf.shape[0], *frame) for leaf in sequences]
    states = [leaf if leaf.shape == frame else leaf.expand(frame) for leaf in states]
    order = None if torch.compiler.is_compiling() else memory_order(sequences[0][0])
    if order is not None:
        sequences = [leaf.permute(0, *(1 + axis for axis in order)) for leaf in sequences]
        states = [leaf.permute(order) for leaf in states]
        values = [value.reshape((1,) * (len(order) - value.ndim) + value.shape).permute(order) for value in values]
        frame = states[0].shape if states else sequences[0].shape[1:]
    parameters, inners = laid_out_all(values, frame)
    training = torch.is_grad_enabled() and any(t.requires_grad for t in (*sequences, *states, *parameters))
    results = runtime.run_loop(found.key, found.owner, sequences, states, parameters, inners, training)
    outputs = len(leaves(found.step.output))
    ys, last = results[:outputs], results[outputs : outputs + len(states)]
    if order is not None:
        back = sorted(range(len(order)), key=order.__getitem__)
        ys = [y.permute(0, *(1 + axis for axis in back)) for y in ys]
        last = [leaf.permute(back) for leaf in last]
    return fill(found.step.output, ys), fill(state, last)


def memory_order(frame: Tensor) -> list[int] | None:
    """The axes of a frame as they lie in memory, such as channels last; ``None`` if in order or with gaps.

    A loop that treats each element by itself takes them in any order: no copy, and the result lies as the input does.
    """
    if frame.is_contiguous():
        return None
    order = sorted(range(frame.ndim), key=lambda axis: -frame.stride(axis))
    return order if frame.permute(order).is_contiguous() else None


def _fuse_while_compiling(module: Dynamics, plain: tuple, language: str, training: bool) -> Fused | None:
    x, state, *rest = plain
    try:
        with torch.set_grad_enabled(training):
            return fuse(module, Signature(_of_classes(x), _of_classes(state), *rest), language)
    except (NotPointwise, CompilerUnavailableError):
        return None


# The mark that torch.compiler.assume_constant_result sets; to call it would import the compiler, and Triton with it.
_fuse_while_compiling._dynamo_marked_constant = True


def laid_out_all(parameters: Sequence[Tensor], frame: Sequence[int]) -> tuple[list[Tensor], list[int]]:
    """:func:`laid_out` of every parameter."""
    pairs = [laid_out(parameter, frame) for parameter in parameters]
    return [parameter for parameter, _ in pairs], [inner for _, inner in pairs]


def laid_out(parameter: Tensor, frame: Sequence[int]) -> tuple[Tensor, int]:
    """A parameter whose flat entry ``(i // inner) % numel`` belongs to element i of the frame, and ``inner``."""
    axes = frame[len(frame) - parameter.ndim :]
    varying = [axis for axis, size in enumerate(parameter.shape) if size != 1]
    if not varying:
        return parameter, 1
    first, last = varying[0], varying[-1]
    if any(parameter.shape[axis] != axes[axis] for axis in range(first, last + 1)):
        wanted = [axes[axis] if first <= axis <= last else 1 for axis in range(parameter.ndim)]
        parameter = parameter.expand(wanted)
    inner = 1
    for size in axes[last + 1 :]:
        inner = inner * size
    return parameter, inner
