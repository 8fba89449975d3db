"""Lines of past frames in memory: the first state [B, steps, \\*], and behind it all that the line is given.

It is one sequence [steps + T, B, \\*]. Nothing is shifted: step t fills row ``steps + t``, and reads the rows before.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...core.tensors import last_axes_fit
from ..operators.runtime import watched
from ..record.graph import StepGraph
from ..record.trace import NotPointwise

if TYPE_CHECKING:
    from .cut import Cut


def split(graph: StepGraph, states: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """All states of a step, or what goes with them: those of the graph, and the lines."""
    if not graph.lines:
        return [*states], []
    pairs = [*enumerate(states)]
    return [s for k, s in pairs if k not in graph.line_places], [s for k, s in pairs if k in graph.line_places]


def merged(graph: StepGraph, held: Sequence[Any], lines: Sequence[Any]) -> list[Any]:
    """What :func:`split` takes apart."""
    if not graph.lines:
        return [*held]
    rest, found = iter(held), dict(zip(graph.line_places, lines, strict=True))
    return [found[k] if k in found else next(rest) for k in range(len(held) + len(lines))]


def matrices_of(factors: Sequence[Tensor]) -> list[Tensor]:
    """The matrices of products among all factors; lags and shares follow."""
    count = next((k for k, factor in enumerate(factors) if not factor.is_floating_point()), len(factors))
    return list(factors[:count])


def check_lines(
    module: nn.Module,
    cut: "Cut",
    histories: Sequence[Tensor],
    frame: Callable[[Tensor], Sequence[int]],
    factors: list[Tensor],
) -> None:
    """Raise ``NotPointwise`` if a line does not go with the frames, or what it is read by not with the line.

    Args:
        module: for the message.
        cut: the step.
        histories: the first states of the lines.
        frame: the shape of a frame like a tensor.
        factors: matrices, lags and shares.
    """
    reason = None
    for k, history in enumerate(histories):
        shape = history.shape[0], *history.shape[2:]
        if shape != tuple(frame(history)):
            reason = f"a line of frames {shape}"
        for lags in (factors[read.taps] for read in cut.reads if read.line == k and read.taps >= 0):
            if lags.ndim > len(shape) or not last_axes_fit(lags.shape[1:], shape[1:]):
                reason = f"delays of shape {tuple(lags.shape[1:])} and frames {shape}"
            elif lags.device.type == "cpu" and not watched() and not 0 <= lags.min() <= lags.max() <= history.shape[1]:
                reason = f"delays that {history.shape[1]} steps do not hold"
    if reason:
        raise NotPointwise(
            f"{type(module).__name__}: expected lines of frames that a fused loop can take, got {reason}"
        )


class Lines:
    """The sequences of the lines of a step.

    Args:
        sequences: these, [steps of the line + T, B, \\*].
        steps: T.
    """

    def __init__(self, sequences: Sequence[Tensor], steps: int):
        self.sequences, self.steps = sequences, steps

    @staticmethod
    def room(histories: Iterable[Tensor], steps: int) -> list[Tensor]:
        """Sequences that begin with these states, and have room for so many steps."""
        return [
            torch.cat([history.transpose(0, 1), history.new_empty((steps, history.shape[0], *history.shape[2:]))])
            for history in histories
        ]

    @classmethod
    def of_gradients(cls, lines: "Lines", last: Iterable[Tensor | None]) -> "Lines":
        """Where gradients of frames are added up, with those of the last states to begin with."""
        zeros = cls([torch.zeros_like(line) for line in lines.sequences], lines.steps)
        for line, gradient in zip(zeros.sequences, last, strict=True):
            if gradient is not None:
                line[lines.steps :].copy_(gradient.transpose(0, 1))
        return zeros

    def first(self) -> list[Tensor]:
        """The states before the first step."""
        return [_frames(line[: line.shape[0] - self.steps]) for line in self.sequences]

    def last(self) -> list[Tensor]:
        """The states after the last step."""
        return [_frames(line[self.steps :]) for line in self.sequences]

    def given(self, k: int, part: slice = slice(None)) -> Tensor:
        """The rows that steps are given to, of line k."""
        line = self.sequences[k]
        return line[line.shape[0] - self.steps :][part]

    def window(self, k: int, part: slice = slice(None)) -> Tensor:
        """The rows that some steps are given to and all that these can read."""
        line, (begin, end, _) = self.sequences[k], part.indices(self.steps)
        return line[begin : line.shape[0] - self.steps + end]

    def rows(self, frames: Sequence[int], part: slice = slice(None)) -> list[tuple[int, Tensor]]:
        """Frames with the rows that steps are given to; none below zero."""
        return [(frame, self.given(k, part)) for k, frame in enumerate(frames) if frame >= 0]

    def windows(self, frames: Sequence[int], part: slice = slice(None)) -> dict[int, Tensor]:
        """Frames with all rows that can be read."""
        return {frame: self.window(k, part) for k, frame in enumerate(frames)}


def _frames(rows: Tensor) -> Tensor:
    return rows.transpose(0, 1).clone(memory_format=torch.contiguous_format)


def share_gradient(line: Tensor, lags: Tensor, gradient: Tensor, begin: int, steps: int) -> Tensor:
    """The gradient of shares from that of the frames that were read with them.

    Args:
        line: the sequence.
        lags: how far back is read, [taps, \\*].
        gradient: rows for the steps from ``begin`` on.
        begin: the first of these.
        steps: all steps of the sequence.
    """
    now = torch.arange(begin, begin + gradient.shape[0], device=line.device) + (line.shape[0] - steps)
    found = []
    for lag in lags:
        if lag.numel() == 1:
            read = line.index_select(0, now - lag.flatten())
        else:
            times = now.reshape(-1, *[1] * (line.ndim - 1))
            read = line.gather(0, (times - lag).expand_as(gradient))
        found.append((read * gradient).sum(0).sum_to_size(lag.shape))
    return torch.stack(found)


def read_from(rows: Tensor, frame: Tensor, lags: Tensor | None = None, shares: Tensor | None = None) -> None:
    """Fill a frame with what a step reads of a line.

    Args:
        rows: what can be read, oldest first.
        frame: this frame, [B, \\*].
        lags, shares: how far back is read, and the share of that, [taps, \\*]; all rows side by side if omitted.
    """
    if lags is None:
        _side_by_side(frame, rows).copy_(rows.flatten(1, -2).transpose(0, 1))
        return
    read = (rows.gather(0, _places(rows, lag))[0] for lag in lags)
    torch.mul(next(read), shares[0], out=frame)
    for row, share in zip(read, shares[1:], strict=True):
        frame.addcmul_(row, share)


def add_to(rows: Tensor, frame: Tensor, lags: Tensor | None = None, shares: Tensor | None = None) -> None:
    """Add the gradient of what :func:`read_from` reads to the rows."""
    if lags is None:
        rows.flatten(1, -2).add_(_side_by_side(frame, rows).transpose(0, 1))
        return
    for lag, share in zip(lags, shares, strict=True):
        # Each element once, so that the order of additions is always the same.
        rows.scatter_add_(0, _places(rows, lag), (frame * share)[None])


def _side_by_side(frame: Tensor, rows: Tensor) -> Tensor:
    return frame.view(-1, rows.shape[0], rows.shape[-1])


def _places(rows: Tensor, lag: Tensor) -> Tensor:
    return (rows.shape[0] - 1 - lag).expand(1, *rows.shape[1:])
