"""What the two ways to run a step with products are given.

Frames are numbers of a :class:`~.program.Program`. Sequences are [T, B, \\*], contiguous but for the first axis; all
else is contiguous.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, dtype

MOST_ACTIVE = 0.3
"""Share of active inputs above which a product reads all of them."""


class Forward(NamedTuple):
    """Operands and results of the forward loop.

    Args:
        given: frames that are rows of sequences, with these.
        made: likewise, and filled.
        lines: of frames that are rows of lines, all that can be read: from as many rows before as a line is long.
        before, after: the frames of the states before and after a step.
        first: the first states.
        last: filled with the last ones.
        checkpoints: of each state, filled; ``None`` where none are kept.
        parameters: values of the parameters.
        inners: how they lie in a frame.
        matrices: those of the products, then lags and shares of lines.
        shape: steps and rows.
        dtype: type of the products.
        widths: of frames, by their numbers.
        every: steps between checkpoints.
    """

    given: Sequence[tuple[int, Tensor]]
    made: Sequence[tuple[int, Tensor]]
    lines: Mapping[int, Tensor]
    before: Sequence[int]
    after: Sequence[int]
    first: Sequence[Tensor]
    last: Sequence[Tensor]
    checkpoints: Sequence[Tensor | None]
    parameters: Sequence[Tensor]
    inners: Sequence[int]
    matrices: Sequence[Tensor]
    shape: tuple[int, int]
    dtype: dtype
    widths: Sequence[int]
    every: int


class Backward(NamedTuple):
    """Operands and results of the backward loop. Pairs are of the replay and of the backward program.

    Args:
        replayed: frames of the replay that are rows of sequences, with these.
        given, made: as forward, of the backward program; rows of the gradients of lines are added to.
        lines: as forward, of the replay and of the backward program.
        states: the frames of the states before a step, in either program.
        after: those after a step of the replay.
        products: the frames of the products that are computed again, in either program.
        arriving, leaving: the frames of the carried gradients before and after a step; -1 where zero leaves.
        summed: the frames of the totals.
        first: the first states that are replayed.
        checkpoints: of these.
        carry: the gradients of the last states, which become those of the first ones.
        totals: filled, zero at first: the gradients of parameters, summed over time.
        flags: [steps, \\*], one for each parameter of the backward program behind ``parameters``.
        parameters, inners, matrices, shape, dtype, widths, every: as forward.
    """

    replayed: Sequence[tuple[int, Tensor]]
    given: Sequence[tuple[int, Tensor]]
    made: Sequence[tuple[int, Tensor]]
    lines: tuple[Mapping[int, Tensor], Mapping[int, Tensor]]
    states: tuple[Sequence[int], Sequence[int]]
    after: Sequence[int]
    products: tuple[Sequence[int], Sequence[int]]
    arriving: Sequence[int]
    leaving: Sequence[int]
    summed: Sequence[int]
    first: Sequence[Tensor]
    checkpoints: Sequence[Tensor]
    carry: Sequence[Tensor]
    totals: Sequence[Tensor]
    flags: Tensor
    parameters: Sequence[Tensor]
    inners: Sequence[int]
    matrices: Sequence[Tensor]
    shape: tuple[int, int]
    dtype: dtype
    widths: Sequence[int]
    every: int
