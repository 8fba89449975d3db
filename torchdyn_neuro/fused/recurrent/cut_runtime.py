"""The loop of a step with matrix products inside, forward and backward.

In C++ for some rows of the batch at a time (:mod:`~.network_native`), or step by step for all of them
(:mod:`~.network_steps`), which a CUDA graph replays on a card.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

from ...core.dynamics import Dynamics
from ...core.state import State, fill, leaves
from ...core.torch_private import dispatch_mode_count
from ...core.transforms import batched
from ...native.compiler import NUMBERS
from ...sparse.event_product import gather_outer_product, matrix
from ..layout import laid_out_all
from ..operators.cuda_graph import Function, Results, repeated
from ..operators.replay import replayed_gradients
from ..operators.runtime import grouped, rows_contiguous
from ..record.graph import StepGraph
from ..record.recording import FrozenStep
from ..record.trace import NotPointwise
from . import network_native, network_steps
from .cut import Cut, get_cut

_EVERY = 8  # steps between checkpoints; what is between them is kept in the caches during the backward pass
_MOST_ACTIVE = 0.3


def ready_cut(
    module: Dynamics,
    step: FrozenStep,
    cut: Cut,
    values: list[Tensor],
    numbers: Tensor | None,
    x: State,
    state: State,
    marks: Sequence[int],
) -> Callable[[], tuple[State, State]]:
    """What runs ``module``; ``values`` are its parameters and, behind them, its matrices; ``numbers``: plain ones.

    The results whose numbers are in ``marks`` have no gradient.
    """
    count = len(step.sources)
    values, matrices = values[:count], values[count:]
    inputs, states = leaves(x), leaves(state)
    frame = torch.broadcast_shapes(*(leaf.shape[1:] for leaf in inputs), *(leaf.shape for leaf in states))
    _check(module, cut, matrices, frame)
    inputs = [leaf.expand(leaf.shape[0], *frame) for leaf in inputs]
    states = [leaf.expand(frame) for leaf in states]
    parameters, inners = laid_out_all(values, frame, numbers)
    operands = (*inputs, *states, *parameters, *matrices)
    training = torch.is_grad_enabled() and any(t.requires_grad for t in operands)
    counts = len(inputs), len(states), len(parameters)

    def run() -> tuple[State, State]:
        results = _Loop.apply(cut, step, counts, inners, training, marks, *operands)
        ys, last = results[: len(cut.graph.outputs)], results[len(cut.graph.outputs) :]
        return fill(step.output, ys), fill(state, last)

    return run


def _check(module: Dynamics, cut: Cut, matrices: Sequence[Tensor], frame: Sequence[int]) -> None:
    reason = None
    if torch.compiler.is_compiling() or dispatch_mode_count():
        reason = "somebody who follows the operators of torch"
    elif torch.is_autocast_enabled(matrices[0].device.type):
        reason = "autocast, under which a product has a narrower type than the state"
    elif cut.dtype not in NUMBERS or any(weight.dtype != cut.dtype for weight in matrices):
        reason = "matrices of other types than the frames"
    elif any(tuple(weight.shape) != (frame[-1], frame[-1]) for weight in matrices):
        reason = f"a matrix that is not {frame[-1]} x {frame[-1]}"
    elif prod(frame) == 0:
        reason = "a frame without elements"
    if reason:
        raise NotPointwise(f"{type(module).__name__}: expected products that a fused loop can take, got {reason}")


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        cut: Cut,
        step: FrozenStep,
        counts: tuple[int, int, int],
        inners: list[int],
        training: bool,
        marks: Sequence[int],
        *operands: Tensor,
    ) -> tuple[Tensor, ...]:
        inputs, states, parameters, matrices = grouped([t.detach() for t in operands], counts)
        forward, _ = _loops(inputs[0])
        results = forward(cut.key, inputs, states, parameters, inners, matrices, training)
        count = len(cut.graph.outputs) + len(states)
        if training:
            ctx.save_for_backward(*operands, *results[count:])
        ctx.cut, ctx.step, ctx.counts, ctx.inners = cut, step, (*counts, len(matrices)), inners
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(results[k] for k in marks))
        return tuple(results[:count])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple:
        cut, graph = ctx.cut, ctx.cut.graph
        inputs, states, parameters, matrices, checkpoints = grouped(ctx.saved_tensors, ctx.counts)
        nothing = (None,) * 6
        if all(gradient is None for gradient in gradients):
            return *nothing, *[None] * (len(ctx.saved_tensors) - len(checkpoints))
        output_gradients, last_gradients = gradients[: len(graph.outputs)], gradients[len(graph.outputs) :]
        if torch.is_grad_enabled() or batched(gradients):
            own = parameters[: len(ctx.step.sources)]
            *found, (*last,) = replayed_gradients(
                ctx.step, inputs, states, [*own, *matrices], output_gradients, last_gradients
            )
            last[len(own) : len(own)] = [None] * (len(parameters) - len(own))
            return *nothing, *(gradient for group in (*found, last) for gradient in group)
        _, backward = _loops(inputs[0])
        operands = inputs, states, parameters, matrices, checkpoints, ctx.inners
        return *nothing, *backward(cut.key, *operands, output_gradients, last_gradients)


def compute_forward(
    key: str,
    inputs: list[Tensor],
    states: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    matrices: list[Tensor],
    training: bool,
) -> Results:
    """The outputs, the last states and, for training, the checkpoints of the states."""
    cut, x = get_cut(key), inputs[0]
    graph, program = cut.graph, cut.forward
    inputs = [rows_contiguous(leaf) for leaf in inputs]
    first = [leaf.contiguous() for leaf in states]
    ys = [x.new_empty(x.shape, dtype=node.dtype) for node in graph.outputs]
    last = [leaf.new_empty(leaf.shape) for leaf in first]
    rows = (x.shape[0] - 1) // _EVERY
    checkpoints = [leaf.new_empty((rows, *leaf.shape)) for leaf in first] if training else []
    after, outputs = program.results[: len(states)], program.results[len(states) :]
    _way(cut).run_forward(
        cut.alone,
        [*zip(program.leaves, inputs, strict=False), *zip(outputs, ys, strict=True)],
        program.leaves[len(inputs) :],
        after,
        first,
        last,
        checkpoints or [None] * len(first),
        [p.contiguous() for p in parameters],
        inners,
        matrices,
        _shape(x),
        _EVERY,
    )
    return [*ys, *last, *checkpoints]


def compute_gradients(
    key: str,
    inputs: list[Tensor],
    states: list[Tensor],
    parameters: list[Tensor],
    matrices: list[Tensor],
    checkpoints: list[Tensor],
    inners: list[int],
    output_gradients: Sequence[Tensor | None],
    last_gradients: Sequence[Tensor | None],
) -> Results:
    """The gradients of inputs, states, parameters and matrices."""
    cut, x = get_cut(key), inputs[0]
    graph, ahead, back = cut.graph, cut.forward, cut.backward
    inputs = [rows_contiguous(leaf) for leaf in inputs]
    states = [leaf.contiguous() for leaf in states]
    count, held = len(inputs), len(states)
    arriving = [
        x.new_zeros((1, *x.shape[1:]), dtype=leaf.dtype).expand(x.shape) if given is None else rows_contiguous(given)
        for leaf, given in zip(graph.output_gradients, output_gradients, strict=True)
    ]
    carry = []
    for k in cut.carried:
        given = last_gradients[k]
        carry.append(torch.zeros_like(states[k]) if given is None else given.contiguous().clone())
    # The results, in their order.
    places = iter(back.results)
    leaving = [next(places) if node is not None else -1 for node in graph.grad_states]
    input_places = [None if node is None else next(places) for node in graph.grad_inputs]
    parameter_places = [None if node is None else next(places) for node in graph.grad_parameters]
    factor_places = [(next(places), next(places)) for _ in graph.outers]
    made = {k: x.new_empty(x.shape, dtype=back.frames[k].dtype) for k in back.results if k in {*input_places}}
    factors = {k: x.new_empty(x.shape, dtype=back.frames[k].dtype) for pair in factor_places for k in pair}
    summed = [k for k in parameter_places if k is not None]
    totals = [x.new_zeros(x.shape[1:], dtype=back.frames[k].dtype) for k in summed]
    given = back.leaves
    reads = [*zip(given, inputs, strict=False), *zip(given[count + 2 * held :], arriving, strict=False)]
    _way(cut).run_backward(
        cut.encoded,
        ([*zip(ahead.leaves, inputs, strict=False)], [*reads, *made.items(), *factors.items()]),
        (ahead.leaves[count:], given[count : count + held]),
        ([p.target for p in ahead.products], given[count + 2 * held + len(arriving) :]),
        ahead.results[:held],
        [given[count + held + k] for k in cut.carried],
        [leaving[k] for k in cut.carried],
        summed,
        states,
        checkpoints,
        carry,
        totals,
        [p.contiguous() for p in parameters],
        inners,
        matrices,
        _shape(x),
        _EVERY,
    )
    first = dict(zip(cut.carried, carry, strict=True))
    by_place = dict(zip(summed, totals, strict=True))
    return [
        *(None if k is None else made[k] for k in input_places),
        *(first.get(k) for k in range(held)),
        *(
            None if k is None else by_place[k].sum_to_size(p.shape).to(p.dtype)
            for k, p in zip(parameter_places, parameters, strict=True)
        ),
        *_matrix_gradients(graph, factor_places, factors, matrices),
    ]


def _matrix_gradients(
    graph: StepGraph, places: Sequence[tuple[int, int]], factors: dict[int, Tensor], matrices: Sequence[Tensor]
) -> list[Tensor | None]:
    found: list[Tensor | None] = [None] * len(matrices)
    for (k, *_), (gradient, source) in zip(graph.outers, places, strict=True):
        x, arriving = matrix(factors[source]), matrix(factors[gradient])
        columns = x.new_empty((x.shape[1], arriving.shape[1]))
        if x.is_cuda or not gather_outer_product(x, arriving, columns, _MOST_ACTIVE):
            torch.mm(x.t(), arriving, out=columns)
        found[k] = columns.t() if found[k] is None else found[k] + columns.t()
    return found


RECORDED = repeated(compute_forward), repeated(compute_gradients)


def _loops(x: Tensor) -> tuple[Function, Function]:
    """The two loops; a card replays them, for every step launches kernels of microseconds."""
    return RECORDED if x.is_cuda else (compute_forward, compute_gradients)


def _way(cut: Cut) -> Any:
    return network_native if network_native.takes(cut.encoded) else network_steps


def _shape(x: Tensor) -> tuple[int, int, int]:
    return x.shape[0], prod(x.shape[1:-1]), x.shape[-1]
