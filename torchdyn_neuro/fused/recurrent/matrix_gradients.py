"""The gradients of the matrices of products, a span of steps at a time."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ...sparse.event_product import gather_outer_product, matrix
from ..record.graph import LineRead, learned
from .arrivals import Table
from .cut import Reverse
from .lines import Lines, share_gradient
from .operands import MOST_ACTIVE


class MatrixGradients:
    """The gradients of matrices, and of the shares with which lines are read.

    Args:
        reverse: the backward step.
        matrices: these, and lags and shares.
        lines: the lines of frames.
    """

    def __init__(self, reverse: Reverse, matrices: Sequence[Tensor], lines: Lines):
        self.reverse, self.matrices, self.lines = reverse, matrices, lines
        self.columns: dict[int, Tensor] = {}
        self.shares: dict[int, Tensor] = {}

    def add(self, inputs: Sequence[Tensor], rows: dict[int, Tensor], part: slice, table: Table) -> None:
        """Add the steps ``part``, of which these inputs and rows are, as far as gradients arrive."""
        for factor, column in zip(self.reverse.factors, self.reverse.arrivals.factors, strict=True):
            for begin, end in table.present(column, part):
                these = slice(begin - part.start, end - part.start)
                own = {k: sequence[these] for k, sequence in rows.items()}
                self._add(*factor, [x[these] for x in inputs], own, slice(begin, end))

    def _add(
        self,
        number: int | LineRead,
        gradient: tuple[str, int],
        source: tuple[str, int],
        inputs: Sequence[Tensor],
        rows: dict[int, Tensor],
        part: slice,
    ) -> None:
        """Add the product of a gradient and its source."""

        def sequence(kind: str, k: int) -> Tensor:
            return self.lines.given(k, part) if kind == "line" else inputs[k] if kind == "input" else rows[k]

        (kind, k), arriving, place = source, sequence(*gradient), learned(number)
        if isinstance(number, LineRead):
            # Two lines may be given the same.
            line, lags = self.lines.sequences[number.line], self.matrices[number.taps]
            found = share_gradient(line, lags, arriving, part.start, self.lines.steps)
            self.shares[place] = self.shares[place].add_(found) if place in self.shares else found
        elif kind == "window":
            line = self.lines.window(k, part)
            count, width = line.shape[0] - arriving.shape[0] + 1, line.shape[-1]
            if place not in self.columns:
                self.columns[place] = arriving.new_zeros((count * width, arriving.shape[-1]))
            for begin, columns in enumerate(self.columns[place].split(width)):
                _add(columns, matrix(line[begin : begin + arriving.shape[0]]), matrix(arriving))
        else:
            x = matrix(sequence(kind, k))
            if place not in self.columns:
                self.columns[place] = x.new_zeros((x.shape[1], arriving.shape[-1]))
            _add(self.columns[place], x, matrix(arriving))

    def values(self) -> list[Tensor]:
        """The gradients, in the order of the matrices."""
        found = self.shares | {number: columns.t().contiguous() for number, columns in self.columns.items()}
        numbers = sorted({learned(number) for number, *_ in self.reverse.factors})
        return [found[k] if k in found else torch.zeros_like(self.matrices[k]) for k in numbers]


def _add(total: Tensor, x: Tensor, arriving: Tensor) -> None:
    """Add the product of all rows to the columns of a gradient."""
    columns = torch.empty_like(total)
    if not x.is_cuda and gather_outer_product(x, arriving, columns, MOST_ACTIVE):
        total.add_(columns)
    else:
        total.addmm_(x.t(), arriving)
