"""DVS128 Gesture, in its own format and as arrays."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .event_data import EventData
from .events import Events, Recording, collect
from .files import find_folder
from .formats.aedat3 import read_aedat3

TRIALS = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}
ARRAYS = {"train": "ibmGestureTrain", "test": "ibmGestureTest"}
COLUMNS = ("class", "startTime_usec", "endTime_usec")


class DVSGesture(EventData):
    """Gestures of 11 kinds by 29 people, seen by an event camera of 128 x 128 pixels, about 6 s each.

    The people of the test are not in training: keep some for validation too, for example ``validation=[21, 22, 23]``.

    Args:
        root: folder that holds ``DvsGesture`` with ``trials_to_train.txt``, ``trials_to_test.txt`` and, for each of
            their lines, ``userNN_LIGHT.aedat`` and ``userNN_LIGHT_labels.csv``; or ``DVSGesture`` with the folders
            ``ibmGestureTrain`` and ``ibmGestureTest`` of ``userNN_LIGHT/CLASS.npy``, arrays of column, row, polarity
            and milliseconds.
        options: those of :class:`EventData`.

    Raises:
        FileNotFoundError: from ``setup``, if files are missing.
        ValueError: from ``setup``, if a file is damaged.

    Source: Amir et al. (2017), A low power, fully event-based gesture recognition system, CVPR.
    """

    sensor = (2, 128, 128)
    classes = 11

    def __init__(self, *, root: str = "data", **options: Any):
        super().__init__(**options)
        self.root = root

    def sources(self) -> list[Path]:
        return [path for paths in self._files().values() for path in paths]

    def read(self) -> dict[str, Events]:
        owner = type(self).__name__
        return {
            part: collect(owner, (each for path in paths for each in _recordings(path)), self.sensor, self.classes)
            for part, paths in self._files().items()
        }

    def _files(self) -> dict[str, list[Path]]:
        """The recordings of each part: ``.aedat`` of several gestures, or ``.npy`` of one."""
        files = (
            "trials_to_train.txt, trials_to_test.txt, userNN_LIGHT.aedat (3.1) and userNN_LIGHT_labels.csv, or "
            "ibmGestureTrain and ibmGestureTest with userNN_LIGHT/CLASS.npy"
        )
        origin = {"source": "https://research.ibm.com/interactive/dvsgesture", "files": files}
        for name in ("DVSGesture", "."):
            try:
                folder = find_folder(
                    "", self.root, name, wanted=[f"{each}/*/*.npy" for each in ARRAYS.values()], **origin
                )
            except FileNotFoundError:
                continue
            return {part: sorted((folder / each).glob("*/*.npy")) for part, each in ARRAYS.items()}
        folder = find_folder(type(self).__name__, self.root, "DvsGesture", wanted=list(TRIALS.values()), **origin)
        found = {}
        for part, name in TRIALS.items():
            lines = [line.strip() for line in (folder / name).read_text().splitlines()]
            found[part] = [folder / line for line in lines if line]
            for path in [*found[part], *map(_labels_of, found[part])]:
                if not path.is_file():
                    raise FileNotFoundError(
                        f"{type(self).__name__}: expected {path.name!r}, which {name} names, in {str(folder)!r}, found "
                        "none; complete the data set"
                    )
        return found


def _labels_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}_labels.csv")


def _recordings(path: Path) -> Iterator[Recording]:
    """The gestures of a file."""
    named = re.match(r"user(\d+)", path.stem if path.suffix == ".aedat" else path.parent.name)
    if named is None:
        raise ValueError(f"DVSGesture: expected userNN in the name, got {str(path)!r}; name it as it was published")
    read = _gestures if path.suffix == ".aedat" else _array
    yield from read(path, int(named[1]))


def _gestures(path: Path, person: int) -> Iterator[Recording]:
    times, coordinates = read_aedat3(path)
    labels = _labels_of(path)
    with labels.open(newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise ValueError(
                f"DVSGesture: expected the columns {', '.join(COLUMNS)} in {str(labels)!r}, got {rows.fieldnames}; get "
                "it again"
            )
        for index, row in enumerate(rows):
            name = f"gesture {index} of {str(path)!r}"
            try:
                label, start, end = (int(row[column]) for column in COLUMNS)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"DVSGesture: expected three whole numbers, got {list(row.values())} in line {index + 2} of "
                    f"{str(labels)!r}; get it again"
                ) from error
            inside = (times >= start) & (times < end)
            # Classes are counted from 1 on.
            yield Recording(times[inside] - start, coordinates[inside], label - 1, person, name)


def _array(path: Path, person: int) -> Iterator[Recording]:
    try:
        array = np.load(path, allow_pickle=False)
        label = int(path.stem)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(
            f"DVSGesture: expected an array named after its class, 0 to 10, got {str(path)!r}, which is truncated or "
            f"none ({error}); get it again"
        ) from error
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iuf":
        raise ValueError(
            f"DVSGesture: expected columns column, row, polarity and milliseconds [E, 4], got {array.dtype} "
            f"{array.shape} in {str(path)!r}; get it again"
        )
    times = array[:, 3].astype(np.float64) * 1e3
    coordinates = array[:, [2, 1, 0]].astype(np.int64)
    yield Recording(times - (times.min() if len(times) else 0.0), coordinates, label, person, repr(str(path)))
