"""N-MNIST and other sets of recordings of 40 bits an event."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .event_data import EventData
from .events import Events, Recording, collect
from .files import find_folder
from .formats.address_events import read_bin

FORMAT = "40 bits an event: column, row, polarity, microseconds"


class BinRecordings(EventData):
    """Recordings in folders, one for each class, of 40 bits an event; classes are numbered in the order of the names.

    Args:
        root: folder of the folders of the classes, or the one above it.
        folder: its name.
        parts: names of folders between it and the classes, for training and test; none: all recordings are there, and
            ``fold`` says which are the test.
        height, width: of the sensor, pixels.
        classes: number of classes.
        options: those of :class:`EventData`.

    Raises:
        FileNotFoundError: from ``setup``, if the recordings are missing.
        ValueError: from ``setup``, if there are other classes, or a file is damaged.

    Source: Orchard et al. (2015), Front. Neurosci. 9:437 (for N-Caltech101 ``height=180, width=240, classes=101``).

    Example:
        >>> BinRecordings(folder="N-Caltech101", height=180, width=240, classes=101, pool=4, fold=0).shape
        (2, 45, 60)
    """

    source = "where you have it from"

    def __init__(
        self,
        *,
        root: str = "data",
        folder: str,
        parts: Sequence[str] = (),
        height: int,
        width: int,
        classes: int,
        **options: Any,
    ):
        self.sensor, self.classes = (2, height, width), classes
        super().__init__(**options)
        self.root, self.folder, self.parts = root, folder, tuple(parts)

    def sources(self) -> list[Path]:
        return [path for part in self._folders().values() for path in sorted(part.glob("*/*.bin"))]

    def read(self) -> dict[str, Events]:
        return {
            part: collect(type(self).__name__, self._recordings(folder), self.sensor, self.classes)
            for part, folder in self._folders().items()
        }

    def _folders(self) -> dict[str, Path]:
        where = " and ".join(f"{part}/CLASS/*.bin" for part in self.parts) or "CLASS/*.bin"
        found = find_folder(
            type(self).__name__,
            self.root,
            self.folder,
            source=self.source,
            files=f"{where} ({FORMAT})",
            wanted=[f"{part}/*/*.bin" for part in self.parts] or ["*/*.bin"],
        )
        return dict(zip(("train", "test"), [found / part for part in self.parts], strict=False)) or {"train": found}

    def _recordings(self, folder: Path) -> Iterator[Recording]:
        names = sorted({path.parent.name for path in folder.glob("*/*.bin")})
        if len(names) != self.classes:
            raise ValueError(
                f"{type(self).__name__}: expected {self.classes} folders of classes with recordings in {str(folder)!r}"
                f", got {len(names)}; complete the data set, or set data.classes"
            )
        for label, name in enumerate(names):
            for path in sorted((folder / name).glob("*.bin")):
                yield Recording(*read_bin(path), label, name=repr(str(path)))


class NMNIST(BinRecordings):
    """N-MNIST: handwritten digits that a moving event camera of 34 x 34 pixels saw, about 4,000 events in 0.3 s each.

    Args:
        root: folder that holds ``NMNIST`` or ``N-MNIST``'s two folders ``Train`` and ``Test``.
        options: those of :class:`EventData`.

    Source: Orchard et al. (2015), Front. Neurosci. 9:437.
    """

    source = "https://www.garrickorchard.com/datasets/n-mnist"

    def __init__(self, *, root: str = "data", **options: Any):
        super().__init__(
            root=root, folder="NMNIST", parts=("Train", "Test"), height=34, width=34, classes=10, **options
        )
