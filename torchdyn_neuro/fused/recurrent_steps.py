"""The loop of a recurrent layer step by step: a matrix product, then one call of the kernels of the cell."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .event_product import gather_product
from .loops import Loop


def run_forward(
    loop: Loop,
    drive: Tensor,
    weight: Tensor,
    before: Tensor,
    others: Sequence[Tensor],
    inputs: Tensor | None,
    y: Tensor,
    states: Sequence[Tensor],
    checkpoints: Sequence[Tensor],
    parameters: Sequence[Tensor],
    inners: Sequence[int],
    most_active: float,
) -> None:
    """Fill ``y``, ``inputs`` (unless ``None``) and ``checkpoints``; ``states`` go from the first to the last ones.

    ``others`` are the sequences that the cell reads beside its drive and feedback: random numbers.
    """
    # Nobody reads the inputs again: one frame of them is enough.
    own = drive.new_empty(drive.shape[1:]) if inputs is None else None
    feedback, columns = before, weight.t()
    gathers = drive.device.type == "cpu"
    if gathers:
        columns, drive = columns.contiguous(), drive.contiguous()
    none = [None] * len(states)
    for t in range(drive.shape[0]):
        if checkpoints and t and t % loop.every == 0:
            for k, checkpoint in zip(loop.backward_plan.states, checkpoints, strict=True):
                checkpoint[t // loop.every - 1].copy_(states[k])
        frame = own if inputs is None else inputs[t]
        operands = matrix(feedback), columns, matrix(drive[t]), matrix(frame)
        if not (gathers and gather_product(*operands, most_active)):
            torch.addmm(operands[2], *operands[:2], out=operands[3])
        # The states are read before they are written, so they can be their own successors.
        read = [frame[None], *(x[t : t + 1] for x in others)]
        loop.kernels.forward(read, states, parameters, inners, [y[t : t + 1]], states, none, 1)
        feedback = y[t]


def run_backward(
    loop: Loop,
    inputs: Sequence[Tensor],
    y_gradient: Tensor | None,
    weight: Tensor,
    drive_gradient: Tensor,
    before_gradient: Tensor,
    carried: Sequence[Tensor],
    states: Sequence[Tensor],
    checkpoints: Sequence[Tensor],
    parameters: Sequence[Tensor],
    inners: Sequence[int],
    sums: Sequence[Tensor],
) -> None:
    """Fill ``drive_gradient``, ``before_gradient`` and ``sums``.

    ``inputs`` are all that the cell has read; ``carried`` go from the gradients of the last to those of the first
    states.
    """
    plan, feedback = loop.backward_plan, before_gradient.zero_()
    partial = [torch.empty_like(total) for total in sums]
    for total in sums:
        total.zero_()
    arriving = torch.empty_like(feedback)
    shape = inputs[0].shape
    for begin in reversed(range(0, shape[0], loop.every)):
        segment = [x[begin : begin + loop.every] for x in inputs]
        start = states if begin == 0 else [saved[begin // loop.every - 1] for saved in checkpoints]
        rows = _replay(loop, segment, start, parameters, inners)
        for r in reversed(range(segment[0].shape[0])):
            t = begin + r
            now = start if r == 0 else [row[r - 1] for row in rows]
            if y_gradient is None:
                arriving.copy_(feedback)
            else:
                torch.add(y_gradient[t], feedback, out=arriving)
            loop.kernels.backward(
                [segment[k][r : r + 1] for k in plan.inputs],
                now,
                now,
                parameters,
                inners,
                [arriving[None]] if plan.output_gradients else [],
                carried,
                carried,
                [drive_gradient[t : t + 1]],
                partial,
                1,
                (1, *shape[1:]),
            )
            for total, part in zip(sums, partial, strict=True):
                total.add_(part)
            torch.mm(matrix(drive_gradient[t]), weight, out=matrix(feedback))


def _replay(
    loop: Loop, segment: Sequence[Tensor], start: Sequence[Tensor], parameters: Sequence[Tensor], inners: Sequence[int]
) -> list[Tensor]:
    """The states before every step of a segment but its first, which ``start`` holds."""
    plan, graph = loop.backward_plan, loop.graph
    x = segment[0]
    steps, frame = x.shape[0], x.shape[1:]
    if steps == 1 or not plan.states:
        return []
    # The others do not act on these: any value does.
    every = [x.new_zeros(frame, dtype=leaf.dtype) for leaf in graph.states]
    rows: list[Tensor | None] = [None] * len(every)
    for k, state in zip(plan.states, start, strict=True):
        every[k] = state
        rows[k] = state.new_empty((steps - 1, *frame))
    last = [torch.empty_like(state) for state in every]
    y = x.new_empty(x.shape)
    loop.kernels.forward(segment, every, parameters, inners, [y], last, rows, 1)
    return [rows[k] for k in plan.states]


def matrix(x: Tensor) -> Tensor:
    """All but the last axis as one."""
    return x.view(-1, x.shape[-1]) if x.is_contiguous() else x.reshape(-1, x.shape[-1])
