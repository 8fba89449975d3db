"""Events of the user's own."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core.checks import one_of
from .event_data import EventData
from .events import Events, Recording, check_milliseconds, collect
from .frame_dataset import FrameDataset

MICROSECONDS = {"s": 1e6, "ms": 1e3, "us": 1.0}


class EventDataset(EventData):
    r"""Any events with their labels: ``(times [E], units, label)``.

    The units are numbers [E], or coordinates [E, axes], such as polarity, row and column. What is asked for by an index
    is read into memory in ``setup``, as compactly as in any set of events.

    Args:
        train: a data set or a list of triples.
        test: likewise; a ``fold`` of ``train`` if omitted.
        val: likewise; a share of ``train``, by class, if omitted.
        shape: how many units there are along each axis: (channels,) or (polarities, height, width).
        classes: number of classes.
        class_names: of each class, in their order, for pictures and ``torchdyn-predict``; numbers if omitted.
        unit: of the times: ``"s"``, ``"ms"`` or ``"us"``; if omitted ms, of which recordings that are too short or too
            long are refused.
        options: those of :class:`EventData`.

    Raises:
        ValueError: from ``setup``, naming the sample, if it is empty, or a time, a unit or the label is not what it may
            be; if the times look as if they were no ms.

    Example:
        >>> triples = [([0.5, 2.5], [0, 1], 0), ([1.0], [1], 1)]
        >>> data = EventDataset(triples, triples, val=triples, shape=(2,), classes=2, batch_size=2)
        >>> frames, labels, lengths = next(iter(data.test_dataloader()))
        >>> frames.shape, lengths.tolist()
        (torch.Size([2, 3, 2]), [2, 3])
    """

    def __init__(
        self,
        train: Any,
        test: Any = None,
        *,
        val: Any = None,
        shape: Sequence[int],
        classes: int,
        class_names: Sequence[str] = (),
        unit: str | None = None,
        **options: Any,
    ):
        self.sensor, self.classes = tuple(shape), classes
        super().__init__(**options)
        self.parts = {"train": train, "val": val, "test": test}
        self.class_names = tuple(class_names)
        self.unit = unit if unit is None else one_of("EventDataset", "unit", unit, *MICROSECONDS)

    def read(self) -> dict[str, Events]:
        owner = type(self).__name__
        found = {
            name: collect(owner, self._recordings(name, part), self.sensor, self.classes)
            for name, part in self.parts.items()
            if part is not None
        }
        if self.unit is None:
            for events in found.values():
                check_milliseconds(owner, events, 'pass unit="s", "ms" or "us" to say what they are')
        return found

    def _recordings(self, name: str, part: Any) -> Iterator[Recording]:
        for index in range(len(part)):
            where = f"sample {index} of the {name} split"
            try:
                times, units, label = part[index]
                times = np.asarray(times, dtype=np.float64) * MICROSECONDS[self.unit or "ms"]
                recording = Recording(times, np.asarray(units), float(label), name=where)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{type(self).__name__}: expected (times, units, label) of numbers, got something else in {where} "
                    f"({error}); mend the data set"
                ) from error
            yield recording


class _Triples:
    """The samples of a data set of tonic, as triples."""

    def __init__(self, dataset: Any, axes: Sequence[str]):
        self.dataset, self.axes = dataset, axes

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, int]:
        events, label = self.dataset[index]
        return events["t"], np.stack([events[axis].astype(np.int64) for axis in self.axes], 1), label


def from_tonic(
    train: Any, test: Any = None, *, val: Any = None, classes: int | None = None, **options: Any
) -> EventDataset | FrameDataset:
    """Data sets of tonic, or any that give the same, for the trainer.

    Samples are structured arrays of events with ``t`` in microseconds, ``x``, and if the sensor has them ``y`` and
    ``p``, or frames [T, \\*] if the data set transforms them. Tonic itself is not needed here, and not a part of this
    library: it is under the GPL.

    Args:
        train, test, val: data sets that give ``(events or frames, label)`` by index; the events have a ``sensor_size``
            (width, height, polarities).
        classes: number of classes; the ``classes`` of the data set if omitted.
        options: those of :class:`EventDataset`, or of :class:`FrameDataset` for frames.

    Raises:
        ValueError: if the events have no ``t`` and ``x``, or the number of classes is not known.

    Source: Lenz et al. (2021), Tonic, Zenodo, doi:10.5281/zenodo.5079802.

    Example:
        >>> train, test = (tonic.datasets.SHD("data", train=train) for train in (True, False))  # doctest: +SKIP
        >>> data = from_tonic(train, test, dt=10.0)  # doctest: +SKIP
    """
    names = getattr(train, "classes", ())
    classes = len(names) if classes is None else classes
    if len(names) == classes:
        options.setdefault("class_names", tuple(map(str, names)))
    if not classes:
        raise ValueError(
            "from_tonic: expected a number of classes, got none, nor classes of the data set; pass classes="
        )
    sample = train[0][0]
    names = getattr(getattr(sample, "dtype", None), "names", None)
    if names is None:
        return FrameDataset(train, test, val=val, classes=classes, **options)
    if not {"t", "x"} <= set(names):
        raise ValueError(f"from_tonic: expected events with t and x, got {names}; use EventDataset")
    width, height, polarities = train.sensor_size
    flat = height == 1 or "y" not in names
    shape = (width,) if flat else (polarities, height, width)
    axes = ("x",) if flat else ("p", "y", "x")
    parts = {"train": train, "test": test, "val": val}
    triples = {name: None if part is None else _Triples(part, axes) for name, part in parts.items()}
    return EventDataset(**triples, shape=shape, classes=classes, unit="us", **options)
