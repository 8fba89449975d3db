"""Sets of events in HDF5 files, in the layout of the Spiking Heidelberg Digits."""

from pathlib import Path
from typing import Any

from .event_data import EventData
from .events import Events, collect
from .files import find_folder
from .formats.hdf5 import LAYOUT, read_hdf5


class HDF5Events(EventData):
    """Events of one axis of units in HDF5 files: ``spikes/times`` in seconds, ``spikes/units``, ``labels``.

    Speakers, in ``extra/speaker``, can be kept for validation or the test: ``validation=[3]``, ``test_people=[0]``.

    Args:
        root: folder of the files, or the one above it.
        train: name of the file for training.
        test: of the file for the test; none with ``fold`` or ``test_people`` if omitted.
        val: of the file for validation, if there is one.
        channels: number of units.
        classes: number of classes.
        options: those of :class:`EventData`.

    Raises:
        ImportError: from ``setup``, without h5py.
        FileNotFoundError: from ``setup``, if a file is missing.
        ValueError: from ``setup``, if a file is damaged.

    Example:
        >>> HDF5Events(root="mine", train="mine.h5", fold=0, channels=64, classes=10).shape
        (64,)
    """

    folder = "."
    source = "where you have it from"

    def __init__(
        self,
        *,
        root: str = "data",
        train: str,
        test: str | None = None,
        val: str | None = None,
        channels: int,
        classes: int,
        **options: Any,
    ):
        self.sensor, self.classes = (channels,), classes
        super().__init__(**options)
        self.root = root
        self.names = {part: name for part, name in (("train", train), ("val", val), ("test", test)) if name}

    def sources(self) -> list[Path]:
        names = list(self.names.values())
        found = find_folder(
            type(self).__name__,
            self.root,
            self.folder,
            source=self.source,
            files=f"{', '.join(names)} ({LAYOUT})",
            wanted=names,
        )
        return [found / name for name in names]

    def read(self) -> dict[str, Events]:
        return {
            part: collect(type(self).__name__, read_hdf5(path), self.sensor, self.classes)
            for part, path in zip(self.names, self.sources(), strict=True)
        }


class SpokenDigits(HDF5Events):
    """3,000 spoken digits of 6 speakers as spikes of 64 mel channels: about 350 spikes and 0.4 s each.

    The official split of 2,700 and 300 shares its speakers between training and test. The hard task is to keep one
    from training: ``test_people=[0]``, with ``validation=[1]`` or a share of the others.

    Args:
        root: folder of ``spoken_digits_train.h5`` and ``spoken_digits_test.h5``, or the one above it.
        options: those of :class:`EventData`.

    Source: the Free Spoken Digit Dataset, CC BY-SA 4.0, encoded as spikes in the layout of Cramer et al. (2020).
    """

    folder = "spoken_digits"
    source = "an encoding of the Free Spoken Digit Dataset as spikes of 64 channels"

    def __init__(self, *, root: str = "data", **options: Any):
        files = {"train": "spoken_digits_train.h5", "test": "spoken_digits_test.h5"}
        super().__init__(root=root, channels=64, classes=10, **files, **options)


class SHD(HDF5Events):
    """Spiking Heidelberg Digits: 10,420 spoken digits in German and English as spikes of 700 cochlear channels.

    Two of its twelve speakers are in the test only: for an honest choice keep some for validation too, ``validation=
    [3]``, rather than a share.

    Args:
        root: folder of ``shd_train.h5`` and ``shd_test.h5``, or the one above it.
        options: those of :class:`EventData`.

    Source: Cramer, Stradmann, Schemmel & Zenke (2020), IEEE TNNLS 33:2744.
    """

    folder = "SHD"
    source = "https://zenkelab.org/datasets"

    def __init__(self, *, root: str = "data", **options: Any):
        super().__init__(root=root, train="shd_train.h5", test="shd_test.h5", channels=700, classes=20, **options)


class SSC(HDF5Events):
    """Spiking Speech Commands: 105,829 spoken words of 35 kinds as spikes of 700 cochlear channels.

    Args:
        root: folder of ``ssc_train.h5``, ``ssc_valid.h5`` and ``ssc_test.h5``, or the one above it.
        options: those of :class:`EventData`.

    Source: Cramer, Stradmann, Schemmel & Zenke (2020), IEEE TNNLS 33:2744.
    """

    folder = "SSC"
    source = "https://zenkelab.org/datasets"

    def __init__(self, *, root: str = "data", **options: Any):
        files = {"train": "ssc_train.h5", "val": "ssc_valid.h5", "test": "ssc_test.h5"}
        super().__init__(root=root, channels=700, classes=35, **files, **options)
