"""What the two ways to run a recurrent layer are given."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class ForwardOperands(NamedTuple):
    """Operands and results of the forward loop. Frames, states and parameters are contiguous.

    Args:
        drive: what the cell is given beside its feedback, [T, B, \\*].
        weight: [neurons, neurons].
        before: the output that is fed back first, [B, \\*].
        inputs: filled with drive and feedback, unless ``None``.
        y: filled with the outputs.
        states: the first states, which become the last ones.
        checkpoints: filled; empty without training.
        parameters: of the cell.
        inners: how they lie in a frame.
    """

    drive: Tensor
    weight: Tensor
    before: Tensor
    inputs: Tensor | None
    y: Tensor
    states: Sequence[Tensor]
    checkpoints: Sequence[Tensor]
    parameters: Sequence[Tensor]
    inners: Sequence[int]


class BackwardOperands(NamedTuple):
    """Operands and results of the backward loop. Frames, states and parameters are contiguous.

    Args:
        inputs: what the cell has read: drive with feedback, [T, B, \\*].
        y_gradient: gradient of the outputs, or ``None``.
        weight: [neurons, neurons].
        drive_gradient: filled.
        before_gradient: filled with the gradient of the first feedback.
        carried: the gradients of the last states, which become those of the first ones.
        states: the first states that are replayed.
        checkpoints: of these.
        parameters: of the cell.
        inners: how they lie in a frame.
        sums: filled with the gradients of parameters, before their last summation.
    """

    inputs: Tensor
    y_gradient: Tensor | None
    weight: Tensor
    drive_gradient: Tensor
    before_gradient: Tensor
    carried: Sequence[Tensor]
    states: Sequence[Tensor]
    checkpoints: Sequence[Tensor]
    parameters: Sequence[Tensor]
    inners: Sequence[int]
    sums: Sequence[Tensor]
