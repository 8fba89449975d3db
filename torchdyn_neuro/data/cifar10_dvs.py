"""CIFAR10-DVS."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .event_data import EventData
from .events import Events, Recording, collect
from .files import find_folder
from .formats.aedat2 import SIDE, read_aedat2

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class CIFAR10DVS(EventData):
    """10,000 photographs of CIFAR-10 on a screen, moved and seen by an event camera of 128 x 128 pixels, 1.3 s each.

    There is no official split: the test is a fold, by class, a tenth by default. Many papers test on recordings 0 to 99
    of each class, which is easier than a random tenth.

    The whole set is some two thousand million events: with ``cache`` it is read once and stays on the disk.

    Args:
        root: folder that holds the ten folders of the classes with ``cifar10_CLASS_NUMBER.aedat``, or the one above it.
        fold: which of the parts is the test.
        folds: number of parts.
        options: those of :class:`EventData`.

    Source: Li et al. (2017), Front. Neurosci. 11:309.
    """

    sensor = (2, SIDE, SIDE)
    classes, class_names = len(CLASSES), CLASSES

    def __init__(self, *, root: str = "data", fold: int = 0, folds: int = 10, **options: Any):
        super().__init__(fold=fold, folds=folds, **options)
        self.root = root

    def sources(self) -> list[Path]:
        folder = find_folder(
            type(self).__name__,
            self.root,
            "CIFAR10DVS",
            source="https://doi.org/10.6084/m9.figshare.4724671",
            files="ten folders such as airplane with cifar10_airplane_0.aedat (AEDAT 2.0)",
            wanted=[f"{name}/*.aedat" for name in CLASSES],
        )
        return [path for name in CLASSES for path in sorted((folder / name).glob("*.aedat"), key=_number)]

    def read(self) -> dict[str, Events]:
        return {"train": collect(type(self).__name__, self._recordings(), self.sensor, self.classes)}

    def _recordings(self) -> Iterator[Recording]:
        for path in self.sources():
            yield Recording(*read_aedat2(path), CLASSES.index(path.parent.name), name=repr(str(path)))


def _number(path: Path) -> tuple[int, str]:
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else -1, path.name
