"""What comes in line by line: frames, samples or events, as a stream of frames."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..data import Recording, collect
from ..data.binning import bin_events
from ..data.event_data import EventData, EventSequences


def frames_from_numbers(lines: Iterable[str], shape: tuple[int, ...]) -> Iterator[Tensor | None]:
    """A frame [1, \\*shape] for each line of numbers; ``None`` for an empty line, which ends a sequence.

    Raises:
        ValueError: with the number of the line, if it does not hold as many numbers.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            yield None
            continue
        values = _numbers(number, line)
        if len(values) != int(np.prod(shape)):
            raise ValueError(
                f"predict: expected {int(np.prod(shape))} numbers for {list(shape)}, got {len(values)} in line {number}"
            )
        yield torch.tensor(values, dtype=torch.float32).view(1, *shape)


def frames_from_events(lines: Iterable[str], data: EventData) -> Iterator[Tensor | None]:
    """The frames [1, \\*shape] of events, one a line: its time in ms, then its unit, or polarity, row and column.

    A frame comes as soon as an event of a later step has come. An empty line ends a recording, after the silence that
    the data put behind its last event; ``None`` says so.

    Raises:
        ValueError: with the number of the line, if it is no event, or earlier than the one before; if the frames of
            the data need the whole recording.
    """
    if data.normalize:
        raise ValueError(
            "predict: expected frames that follow from what has come so far, got data.normalize, which divides by the "
            "mean of the whole recording; give files"
        )
    frames = _Frames(data)
    number = 0
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield from frames.add(number, _numbers(number, line))
        else:
            yield from frames.finish()
    yield from frames.finish()


class _Frames:
    """Collects the events of one step after the other.

    Args:
        data: whose steps they are.
    """

    def __init__(self, data: EventData):
        self.data, self.kind = data, type(data).__name__
        # Of no recording: only how steps are counted, and which unit counts for which.
        nothing = collect(self.kind, [], data.sensor, data.classes)
        self.sequences = EventSequences(data, nothing, torch.arange(0))
        self.step, self.last, self.events = 0, 0.0, []

    def add(self, number: int, values: list[float]) -> Iterator[Tensor]:
        time = values[0]
        if len(values) not in (2, 4) or time < self.last:
            raise ValueError(
                f"predict: expected the time of an event, ms, not before {self.last:g}, then its unit or polarity, row "
                f"and column, got {values} in line {number}"
            )
        while time >= (self.step + 1) * self.data.dt:
            yield self._frame()
        self.last = time
        recording = Recording(np.array([time * 1e3]), _units(number, values[1:]), 0, name=f"line {number}")
        self.events.append(collect(self.kind, [recording], self.data.sensor, self.data.classes).units)

    def finish(self) -> Iterator[Tensor | None]:
        if self.step or self.events:
            steps = int(self.sequences.steps(torch.tensor([self.last], dtype=torch.float64)))
            while self.step < steps:
                yield self._frame()
            yield None
        self.step, self.last, self.events = 0, 0.0, []

    def _frame(self) -> Tensor:
        units = torch.cat([torch.empty(0, dtype=torch.int64), *(each.long() for each in self.events)])
        self.step, self.events = self.step + 1, []
        table, clip, shape = self.sequences.table, self.data.clip, self.data.shape
        units = units if table is None else table[units]
        rows = torch.zeros_like(units)
        frame = bin_events(
            rows, rows.double(), units, torch.ones(1, dtype=torch.int64), dt=1.0, channels=int(np.prod(shape))
        )
        return frame.clamp(max=clip).view(1, *shape) if clip is not None else frame.view(1, *shape)


def _units(number: int, values: list[float]) -> np.ndarray:
    units = np.array([values])
    if not np.array_equal(units, np.rint(units)):
        raise ValueError(f"predict: expected whole numbers of units, got {values} in line {number}")
    units = units.astype(np.int64)
    return units[0] if units.shape[1] == 1 else units


def _numbers(number: int, line: str) -> list[float]:
    try:
        values = [float(word) for word in line.replace(",", " ").replace(";", " ").split()]
    except ValueError as error:
        raise ValueError(f"predict: expected numbers, got {line.strip()[:60]!r} in line {number}") from error
    if not np.isfinite(values).all():
        raise ValueError(f"predict: expected finite numbers, got {line.strip()[:60]!r} in line {number}")
    return values
