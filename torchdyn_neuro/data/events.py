"""The events of many recordings, kept compactly and checked one by one."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

UNKNOWN = -1
"""The person of a recording of which it is not known."""
LONGEST = 2**31 - 1
"""Microseconds that a time has room for: 35 minutes."""

FEW_MS, MANY_MS, MANY_EVENTS = 10.0, 1e5, 20
"""A recording that is shorter, with so many events, or longer than these is none whose times are in ms."""


class Recording(NamedTuple):
    """One sample as it comes from a file.

    times: [E], microseconds; units: numbers of the units [E], or coordinates [E, axes]; label: its class; person: who
    spoke or moved; name: what messages call it.
    """

    times: np.ndarray
    units: np.ndarray
    label: int
    person: int = UNKNOWN
    name: str = "a sample"


@dataclass(frozen=True)
class Events:
    """Recordings one after the other: six bytes an event up to 32,768 units, eight above.

    Args:
        times: of all events, whole microseconds, in order within a recording, int32 [E].
        units: number of the unit of each event, int16 or int32 [E].
        offsets: where each recording begins, and the end of the last, int64 [N + 1].
        labels: class of each recording, int64 [N].
        people: who spoke or moved, int64 [N]; -1 where it is not known.
        ends: time of the last event of each recording, microseconds, int64 [N].
    """

    times: Tensor
    units: Tensor
    offsets: Tensor
    labels: Tensor
    people: Tensor
    ends: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def gather(
        self, samples: Tensor, since: Tensor | None = None, last: float = math.inf
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The events of some recordings: the row of each, from 0 on, its time in microseconds and its unit.

        Args:
            samples: which recordings, [B].
            since: time in each that counts as 0, microseconds [B]; earlier events are left out.
            last: microseconds after that which are taken.
        """
        bounds = [self.offsets[samples].tolist(), self.offsets[samples + 1].tolist()]
        begin = [0.0] * len(samples) if since is None else since.tolist()
        if since is not None or last < math.inf:
            for row, (start, stop) in enumerate(zip(*bounds, strict=True)):
                limits = [math.ceil(min(limit, LONGEST)) for limit in (begin[row], begin[row] + last)]
                first, end = torch.searchsorted(self.times[start:stop], self.times.new_tensor(limits)).tolist()
                bounds[0][row], bounds[1][row] = start + first, start + end if limits[1] < LONGEST else stop
        parts = [slice(start, stop) for start, stop in zip(*bounds, strict=True)]
        times = torch.cat([self.times[part].double() - zero for part, zero in zip(parts, begin, strict=True)])
        counts = torch.tensor([part.stop - part.start for part in parts])
        rows = torch.repeat_interleave(torch.arange(len(parts)), counts)
        return rows, times, torch.cat([self.units[part] for part in parts]).long()

    @classmethod
    def joined(cls, parts: Sequence["Events"]) -> "Events":
        """Several sets as one, in their order."""
        ends = torch.tensor([0, *(len(part.times) for part in parts)]).cumsum(0)
        offsets = [torch.zeros(1, dtype=torch.int64)]
        offsets += [part.offsets[1:] + end for part, end in zip(parts, ends, strict=False)]
        rest = (
            torch.cat([getattr(part, name) for part in parts])
            for name in ("times", "units", "labels", "people", "ends")
        )
        times, units, labels, people, last = rest
        return cls(times, units, torch.cat(offsets), labels, people, last)


def collect(owner: str, recordings: Iterable[Recording], shape: Sequence[int], classes: int) -> Events:
    """Check recordings and put them together.

    Args:
        owner: who reads them, in messages.
        recordings: the samples.
        shape: how many units there are along each axis: (channels,) or (polarities, height, width).
        classes: number of classes.

    Raises:
        ValueError: naming the sample, if it is empty, or a time, a unit or the label is not what it may be.

    Example:
        >>> recording = Recording(np.array([0, 1500]), np.array([3, 1]), label=1)
        >>> collect("Mine", [recording], shape=(4,), classes=2).times.tolist()
        [0, 1500]
    """
    narrow = np.int16 if math.prod(shape) <= 2**15 else np.int32
    times, units, labels, people = [], [], [], []
    for recording in recordings:
        label = float(recording.label)
        if not (label.is_integer() and 0 <= label < classes):
            raise ValueError(
                f"{owner}: expected a label from 0 to {classes - 1}, got {label:g} in {recording.name}; mend "
                "the file, or the number of classes"
            )
        at, where = _times(owner, recording), _units(owner, recording, shape).astype(narrow)
        if (at[1:] < at[:-1]).any():
            order = np.argsort(at, kind="stable")
            at, where = at[order], where[order]
        times.append(at)
        units.append(where)
        labels.append(int(label))
        people.append(int(recording.person))
    lengths = torch.tensor([0, *map(len, times)], dtype=torch.int64)
    return Events(
        torch.from_numpy(np.concatenate(times) if times else np.empty(0, np.int32)),
        torch.from_numpy(np.concatenate(units) if units else np.empty(0, narrow)),
        lengths.cumsum(0),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor(people, dtype=torch.int64),
        torch.tensor([int(each[-1]) for each in times], dtype=torch.int64),
    )


def check_milliseconds(owner: str, events: Events, way: str, few: float = FEW_MS) -> None:
    """Raise if times that were taken for ms look like seconds, many events within a few of them, or like microseconds.

    Args:
        owner: who has read them, in messages.
        events: as they were taken.
        way: what to do.
        few: recordings that are all shorter are too short, ms.
    """
    if not len(events):
        return
    last, crowd = events.ends.double().max().item() / 1e3, len(events.times) / len(events)
    if (last < few and crowd >= MANY_EVENTS) or events.ends.double().min().item() / 1e3 > MANY_MS:
        took = f"at most {last:g} ms" if last < few else f"at least {events.ends.min().item() / 1e3:g} ms"
        raise ValueError(
            f"{owner}: expected times in ms, got recordings of {took}, with {crowd:.0f} events each, as if they were "
            f"{'seconds' if last < few else 'microseconds'}; {way}"
        )


def _times(owner: str, recording: Recording) -> np.ndarray:
    times, name = np.asarray(recording.times), recording.name
    # float16 has no room for the longest time, which would be infinite in it.
    times = times.astype(np.float64) if times.dtype.kind == "f" else times
    if times.ndim != 1 or times.dtype.kind not in "iuf" or len(times) != len(recording.units):
        raise ValueError(
            f"{owner}: expected one time and one unit for each event, got {times.dtype} times {times.shape} and units "
            f"{np.shape(recording.units)} in {name}; mend the file"
        )
    if not len(times):
        raise ValueError(f"{owner}: expected at least one event, got none in {name}; leave it out of the data set")
    low, high = times.min(), times.max()
    if not (low >= 0 and high <= LONGEST):  # or not a number
        raise ValueError(
            f"{owner}: expected times from 0 to {LONGEST / 1e6:.0f} s, got {_shown(low)} to {_shown(high)} in {name}; "
            "mend the file, or the unit of its times"
        )
    return np.rint(times).astype(np.int32)


def _shown(time: float) -> str:
    return f"{float(time) / 1e6:g} s"


def _units(owner: str, recording: Recording, shape: Sequence[int]) -> np.ndarray:
    units, name = np.asarray(recording.units), recording.name
    if units.dtype.kind not in "iub" or units.ndim not in (1, 2) or (units.ndim == 2 and units.shape[1] != len(shape)):
        raise ValueError(
            f"{owner}: expected whole numbers of units [E] or coordinates [E, {len(shape)}], got {units.dtype} "
            f"{units.shape} in {name}; mend the file, or the shape"
        )
    limits = np.array([math.prod(shape)] if units.ndim == 1 else list(shape))
    columns = units.astype(np.int64).reshape(len(units), -1)
    for axis, limit in enumerate(limits):
        low, high = columns[:, axis].min(), columns[:, axis].max()
        if low < 0 or high >= limit:
            what = "units" if units.ndim == 1 else ("polarities", "rows", "columns")[axis - len(shape)]
            raise ValueError(
                f"{owner}: expected {what} from 0 to {limit - 1}, got {low} to {high} in {name}; mend the file, or "
                "the shape"
            )
    return columns[:, 0] if units.ndim == 1 else np.ravel_multi_index(tuple(columns.T), tuple(shape))
