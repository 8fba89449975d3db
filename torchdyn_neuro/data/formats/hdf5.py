"""HDF5 in the layout of the Spiking Heidelberg Digits."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..events import UNKNOWN, Recording

LAYOUT = "spikes/times (s), spikes/units, labels and, if known, extra/speaker"


def read_hdf5(path: Path) -> Iterator[Recording]:
    """The recordings of a file: ``spikes/times`` in seconds, ``spikes/units``, ``labels``, ``extra/speaker``.

    Raises:
        ImportError: without h5py.
        ValueError: if the file is damaged or of another layout.

    Source: Cramer et al. (2020), IEEE TNNLS 33:2744.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            'read_hdf5: expected h5py, which reads HDF5, found none; get it with: pip install "torchdyn_neuro[events]"'
        ) from error
    try:
        with h5py.File(path) as file:
            times, units, labels = (file[name][:] for name in ("spikes/times", "spikes/units", "labels"))
            people = file["extra/speaker"][:] if "extra/speaker" in file else np.full(len(labels), UNKNOWN)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"read_hdf5: expected {LAYOUT} in {str(path)!r}, which is truncated, damaged or of another layout "
            f"({' '.join(str(error).split())}); get it again"
        ) from error
    sizes = [len(each) for each in (times, units, labels, people)]
    if len(set(sizes)) != 1:
        raise ValueError(
            f"read_hdf5: expected as many times, units, labels and speakers in {str(path)!r}, got {sizes}; get it again"
        )
    for index in range(len(labels)):
        # In float16, as published, a second has no room for microseconds.
        at = np.asarray(times[index]).astype(np.float64) * 1e6
        yield Recording(at, units[index], labels[index], people[index], f"sample {index} of {str(path)!r}")
