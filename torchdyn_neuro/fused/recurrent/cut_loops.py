"""The loops of a step with matrix products, forward and backward: their results, and who computes them.

In C++ for some rows of the batch at a time (:mod:`~.network_native`), or step by step for all of them
(:mod:`~.network_steps`), which a CUDA graph replays on a card.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

from torch import Tensor

from ..operators.cuda_graph import Function, repeated
from ..operators.direct import grouped
from ..operators.runtime import rows_contiguous
from . import network_native, network_steps, shared_native
from .cut import Cut, Reverse, get_cut
from .lines import Lines, matrices_of, merged, split
from .matrix_gradients import MatrixGradients
from .operands import Backward, Forward

EVERY = 8
"""Steps between checkpoints; what is between them stays in the caches during the backward pass."""
FEWEST_ROWS = 4096
"""Rows of a product that is the gradient of a matrix: enough for its speed, and few enough for the caches."""
MOST_KEPT = 2**28
FEWEST_KEPT = 1
"""Bytes of products that are kept for the backward pass, and how many of a step at least; others are computed again."""


def widths_of(cut: Cut, inputs: Sequence[Tensor], states: Sequence[Tensor], matrices: Sequence[Tensor]) -> list[Any]:
    """The widths of frames, by their numbers; ``None`` for one that is not the same everywhere."""
    graph, found = cut.graph, {}
    (states, histories), matrices = split(graph, states), matrices_of(matrices)
    synapses = {number: pair for number, *pair in graph.pairs}
    pairs = [*zip(graph.widths[0] or (0,) * len(inputs), (x.shape[-1] for x in inputs), strict=True)]
    pairs = [(number, 1 if number == graph.row else width) for number, width in pairs]
    for number, state in zip(graph.widths[1] or (0,) * len(states), states, strict=True):
        axes = 0 if number == graph.row else 2 if number in synapses else 1
        pairs += zip(synapses.get(number, (number,)), state.shape[-axes:] if axes else (1,), strict=True)
    if histories:  # while torch compiles a call without lines it must not meet the program
        program = cut.forward(keep=False).programs[0]
        pairs += zip((program.widths[k] for k in program.results), (line.shape[-1] for line in histories), strict=False)
    for numbers, weight in zip(graph.matrices or ((0, 0),) * len(matrices), matrices, strict=True):
        pairs += zip(numbers, weight.shape, strict=True)
    for number, width in pairs:
        found[number] = width if found.get(number, width) == width else None
    for number, (post, pre) in synapses.items():
        found[number] = None if None in (found[post], found[pre]) else found[post] * found[pre]
    return [found[number] for number in sorted(found)]


def keeps(cut: Cut, inputs: Sequence[Tensor], widths: Sequence[int]) -> bool:
    """Whether the products are kept for the backward pass."""
    x, program = inputs[0], cut.forward(keep=True).programs[0]
    frames = program.results[len(cut.graph.lines) + len(cut.graph.next_states) + len(cut.graph.outputs) :]
    size = sum(widths[program.widths[k]] for k in frames) * cut.dtype.itemsize
    return len(frames) <= FEWEST_KEPT or size * prod(x.shape[:-1]) <= MOST_KEPT


def forward_results(
    cut: Cut,
    inputs: Sequence[Tensor],
    states: Sequence[Tensor],
    matrices: Sequence[Tensor],
    training: bool,
    keep: bool,
) -> list[list[Tensor]]:
    """Buffers: the outputs, the last states, for training lines and checkpoints of the states, and kept products."""
    x, graph, widths = inputs[0], cut.graph, widths_of(cut, inputs, states, matrices)
    program = cut.forward(keep).programs[0]
    frames = program.results[len(states) :]
    held, histories = split(graph, states)
    sequences = [x.new_empty((*x.shape[:-1], widths[program.widths[k]]), dtype=program.frames[k].dtype) for k in frames]
    last = [leaf.new_empty(leaf.shape) for leaf in states]
    rows = (x.shape[0] - 1) // EVERY
    replayed = cut.backward(keep).states if training else ()
    lines = Lines.room(histories, x.shape[0]) if training else []
    checkpoints = [held[k].new_empty((rows, *held[k].shape)) for k in replayed]
    count = len(graph.outputs)
    return [sequences[:count], last, lines, checkpoints, sequences[count:]]


def compute_forward(
    key: str,
    inputs: list[Tensor],
    states: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    matrices: list[Tensor],
    training: bool,
    keep: bool,
) -> list[Tensor]:
    """What :func:`forward_results` gives room for."""
    cut = get_cut(key)
    widths = widths_of(cut, inputs, states, matrices)
    results = ys, last, lines, checkpoints, products = forward_results(cut, inputs, states, matrices, training, keep)
    (states, histories), (after, ends) = split(cut.graph, states), split(cut.graph, last)
    count, begins = len(inputs), len(histories)
    encoded, steps, held = cut.forward(keep), inputs[0].shape[0], begins + len(states)
    program = encoded.programs[0]
    line = Lines(lines or Lines.room(histories, steps), steps)
    places: list[Tensor | None] = [None] * len(states)
    for k, checkpoint in zip(cut.backward(keep).states if training else (), checkpoints, strict=True):
        places[k] = checkpoint
    call = Forward(
        given=[*zip(program.leaves, map(rows_contiguous, inputs), strict=False)],
        made=[
            *line.rows(program.results[:begins]),
            *zip(program.results[held:], [*ys, *products], strict=True),
        ],
        lines=line.windows(program.results[:begins]),
        before=program.leaves[count:],
        after=program.results[begins:held],
        first=[leaf.contiguous() for leaf in states],
        last=after,
        checkpoints=places,
        parameters=[p.contiguous() for p in parameters],
        inners=inners,
        matrices=matrices,
        shape=_shape(inputs[0]),
        dtype=cut.dtype,
        widths=widths,
        every=EVERY,
    )
    way = shared_native if shared_native.takes(encoded, call) else _way(encoded, matrices)
    way.run_forward(encoded, call)
    for end, found in zip(ends, line.last(), strict=True):
        end.copy_(found)
    return [tensor for group in results for tensor in group]


def backward_results(
    cut: Cut,
    inputs: Sequence[Tensor],
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    matrices: Sequence[Tensor],
) -> list[list[Tensor]]:
    """Buffers: the gradients of inputs, carried states and lines, parameters and matrices, those that are not zero."""
    graph = cut.graph
    return [
        [x.new_empty(x.shape) for x, node in zip(inputs, graph.grad_inputs, strict=True) if node is not None],
        [states[k].new_empty(states[k].shape) for k in cut.arriving],
        [p.new_empty(p.shape) for p, node in zip(parameters, graph.grad_parameters, strict=True) if node is not None],
        [matrices[k].new_empty(matrices[k].shape) for k in cut.learned],
    ]


def compute_backward(
    key: str,
    inputs: list[Tensor],
    states: list[Tensor],
    parameters: list[Tensor],
    inners: list[int],
    matrices: list[Tensor],
    saved: list[Tensor],
    keep: bool,
    output_gradients: list[Tensor | None],
    last_gradients: list[Tensor | None],
) -> list[Tensor]:
    """What :func:`backward_results` gives room for.

    Args:
        saved: the checkpoints and the products that the forward loop gave.
        keep: whether these are all products.
        last_gradients: those of the carried states and lines.
    """
    cut, x = get_cut(key), inputs[0]
    graph, widths = cut.graph, widths_of(cut, inputs, states, matrices)
    reverse: Reverse = cut.backward(keep)
    ahead, back = reverse.encoded.programs
    sequences, checkpoints, products = grouped(saved, [len(graph.lines), len(reverse.states)])
    wanted = dict(zip(cut.arriving, last_gradients, strict=True))
    (states, _), (ends, backs) = split(graph, states), split(graph, map(wanted.get, range(len(states))))
    inputs = [rows_contiguous(leaf) for leaf in inputs]
    # The leaves of the backward program, in their order.
    counts = len(inputs), len(states), len(states), len(graph.output_gradients), len(sequences)
    read, before, after, arriving, newest, kept = grouped(back.leaves, counts)
    zero = x.new_zeros(()).expand
    given = [
        zero((x.shape[0], *x.shape[1:-1], widths[back.widths[k]])) if gradient is None else gradient
        for k, gradient in zip(arriving, output_gradients, strict=True)
    ]
    given = [
        rows_contiguous(gradient.to(node.dtype)) for node, gradient in zip(graph.output_gradients, given, strict=True)
    ]
    carry = [
        states[k].new_zeros(states[k].shape) if ends[k] is None else ends[k].contiguous().clone() for k in cut.carried
    ]
    steps, lines = x.shape[0], Lines(sequences, x.shape[0])
    lines_back = Lines.of_gradients(lines, backs)
    summed = [k for k in reverse.parameters if k is not None]
    synapses = {number: (widths[post], widths[pre]) for number, post, pre in graph.pairs}
    totals = [
        x.new_zeros(
            (
                *(() if back.widths[k] in graph.shared else x.shape[1:-1]),
                *synapses.get(back.widths[k], (widths[back.widths[k]],)),
            ),
            dtype=back.frames[k].dtype,
        )
        for k in summed
    ]
    older, found = grouped(ahead.leaves[sum(counts[:2]) :], [len(sequences)])
    replayed = [*zip(ahead.leaves, inputs, strict=False), *lines.rows(older), *zip(found, products, strict=True)]
    given = [*zip(read, inputs, strict=True), *zip(arriving, given, strict=True), *zip(kept, products, strict=False)]
    given += lines.rows(newest)
    first = [states[k].contiguous() for k in reverse.states]
    by_matrix = MatrixGradients(reverse, matrices, lines)
    table = reverse.arrivals.table(x, steps, output_gradients, ends, backs)
    # Of the rows, the gradients of the inputs stay; the others only until the matrices have theirs.
    span = _span(x)
    made = {}
    for k in reverse.rows:
        shape = steps if k in reverse.inputs else span, *x.shape[1:-1], widths[back.widths[k]]
        made[k] = x.new_empty(shape, dtype=back.frames[k].dtype)
    for begin in reversed(range(0, steps, span)):
        part, number = slice(begin, min(begin + span, steps)), begin // EVERY
        rows = {k: tensor[part] if k in reverse.inputs else tensor[: part.stop - begin] for k, tensor in made.items()}
        call = Backward(
            replayed=[(k, tensor[part]) for k, tensor in replayed],
            given=[(k, tensor[part]) for k, tensor in given],
            made=[*rows.items(), *lines_back.rows(reverse.lines, part)],
            lines=(lines.windows(older, part), lines.windows(newest, part) | lines_back.windows(reverse.lines, part)),
            states=([ahead.leaves[len(inputs) + k] for k in reverse.states], [before[k] for k in reverse.states]),
            after=ahead.results[0 if keep else len(cut.products) :],
            products=((), ()) if keep else (ahead.results[: len(cut.products)], kept),
            arriving=[after[k] for k in cut.carried],
            leaving=reverse.leaving,
            summed=summed,
            first=[checkpoint[number - 1] for checkpoint in checkpoints] if begin else first,
            checkpoints=[checkpoint[number:] for checkpoint in checkpoints],
            carry=carry,
            totals=totals,
            flags=table.values[part],
            parameters=[p.contiguous() for p in parameters],
            inners=inners,
            matrices=matrices,
            shape=(part.stop - begin, prod(x.shape[1:-1])),
            dtype=cut.dtype,
            widths=widths,
            every=EVERY,
        )
        _way(reverse.encoded, matrices).run_backward(reverse.encoded, call)
        by_matrix.add([leaf[part] for leaf in inputs], rows, part, table)
    firsts = dict(zip(cut.carried, carry, strict=True))
    gradients = merged(graph, [*map(firsts.get, range(len(states)))], lines_back.first())
    wanted = (p for p, node in zip(parameters, graph.grad_parameters, strict=True) if node is not None)
    return [
        *(made[k].view(x.shape) for k, x in zip(reverse.inputs, inputs, strict=True) if k is not None),
        *(gradients[k] for k in cut.arriving),
        *(total.sum_to_size(p.shape).to(p.dtype) for total, p in zip(totals, wanted, strict=True)),
        *by_matrix.values(),
    ]


def _span(x: Tensor) -> int:
    """The steps between two additions to the gradients of matrices: whole segments, and all of them on a card."""
    rows = max(1, prod(x.shape[1:-1]))
    return x.shape[0] if x.is_cuda else min(x.shape[0], EVERY * -(-FEWEST_ROWS // (EVERY * rows)))


def _way(encoded: network_native.Encoded, matrices: Sequence[Tensor]) -> Any:
    return network_native if network_native.takes(encoded, matrices) else network_steps


def _shape(x: Tensor) -> tuple[int, int]:
    return x.shape[0], prod(x.shape[1:-1])


# Every step launches kernels of microseconds, which only a recording keeps up with.
RECORDED = repeated(compute_forward), repeated(compute_backward)


def loops(x: Tensor) -> tuple[Function, Function]:
    """The two loops for tensors like ``x``."""
    return RECORDED if x.is_cuda else (compute_forward, compute_backward)
