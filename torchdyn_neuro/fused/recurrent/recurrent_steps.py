"""The loop of a recurrent layer step by step: a matrix product, then one call of the kernels of the cell."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...sparse.event_product import gather_product, matrix
from ..operators.loops import Loop
from .recurrent_operands import BackwardOperands, ForwardOperands


def run_forward(loop: Loop, operands: ForwardOperands, most_active: float) -> None:
    """Fill the results; ``most_active`` is the share of active outputs up to which their columns are gathered."""
    drive, states, checkpoints = operands.drive, operands.states, operands.checkpoints
    # Nobody reads the inputs again: one frame of them is enough.
    own = drive.new_empty(drive.shape[1:]) if operands.inputs is None else None
    feedback, columns = operands.before, operands.weight.t()
    gathers = drive.device.type == "cpu"
    if gathers:
        columns, drive = columns.contiguous(), drive.contiguous()
    none = [None] * len(states)
    for t in range(drive.shape[0]):
        if checkpoints and t and t % loop.every == 0:
            for k, checkpoint in zip(loop.backward_plan.states, checkpoints, strict=True):
                checkpoint[t // loop.every - 1].copy_(states[k])
        frame = own if operands.inputs is None else operands.inputs[t]
        factors = matrix(feedback), columns, matrix(drive[t]), matrix(frame)
        if not (gathers and gather_product(*factors, most_active)):
            torch.addmm(factors[2], *factors[:2], out=factors[3])
        # The states are read before they are written, so they can be their own successors.
        y = [operands.y[t : t + 1]]
        loop.kernels.forward([frame[None]], states, operands.parameters, operands.inners, y, states, none, 1)
        feedback = operands.y[t]


def run_backward(loop: Loop, operands: BackwardOperands) -> None:
    """Fill the results."""
    plan, inputs, carried = loop.backward_plan, operands.inputs, operands.carried
    feedback, partial = operands.before_gradient.zero_(), [torch.empty_like(total) for total in operands.sums]
    for total in operands.sums:
        total.zero_()
    arriving, shape = torch.empty_like(feedback), inputs.shape
    for begin in reversed(range(0, shape[0], loop.every)):
        segment = inputs[begin : begin + loop.every]
        start = operands.states if begin == 0 else [saved[begin // loop.every - 1] for saved in operands.checkpoints]
        rows = _replay(loop, segment, start, operands.parameters, operands.inners)
        for r in reversed(range(segment.shape[0])):
            t = begin + r
            now = start if r == 0 else [row[r - 1] for row in rows]
            if operands.y_gradient is None:
                arriving.copy_(feedback)
            else:
                torch.add(operands.y_gradient[t], feedback, out=arriving)
            loop.kernels.backward(
                [segment[r : r + 1] for _ in plan.inputs],
                now,
                now,
                operands.parameters,
                operands.inners,
                [arriving[None]] if plan.output_gradients else [],
                carried,
                carried,
                [operands.drive_gradient[t : t + 1]],
                partial,
                1,
                (1, *shape[1:]),
            )
            for total, part in zip(operands.sums, partial, strict=True):
                total.add_(part)
            torch.mm(matrix(operands.drive_gradient[t]), operands.weight, out=matrix(feedback))


def _replay(
    loop: Loop, segment: Tensor, start: Sequence[Tensor], parameters: Sequence[Tensor], inners: Sequence[int]
) -> list[Tensor]:
    """The states before every step of a segment but its first, which ``start`` holds."""
    plan, graph = loop.backward_plan, loop.graph
    steps, frame = segment.shape[0], segment.shape[1:]
    if steps == 1 or not plan.states:
        return []
    # The others do not act on these: any value does.
    every = [segment.new_zeros(frame, dtype=leaf.dtype) for leaf in graph.states]
    rows: list[Tensor | None] = [None] * len(every)
    for k, state in zip(plan.states, start, strict=True):
        every[k] = state
        rows[k] = state.new_empty((steps - 1, *frame))
    last = [torch.empty_like(state) for state in every]
    y = torch.empty_like(segment)
    loop.kernels.forward([segment], every, parameters, inners, [y], last, rows, 1)
    return [rows[k] for k in plan.states]
