"""Binary files of 40 bits an event."""

from pathlib import Path

import numpy as np

OVERFLOW_ROW = 240
"""A row that no sensor has: such an event says that the clock has turned over."""
OVERFLOW = 2**13


def read_bin(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The times, microseconds, and the coordinates (polarity, row, column) of the events of a file.

    Bits 39 to 32 are the column, 31 to 24 the row, 23 the polarity, 22 to 0 the time in microseconds. An event in row
    240 is none: all later times are 8,192 microseconds more.

    Args:
        path: a ``.bin`` file.

    Raises:
        ValueError: if its length is no multiple of five bytes.

    Source: Orchard et al. (2015), Front. Neurosci. 9:437 (N-MNIST, N-Caltech101).
    """
    data = np.fromfile(path, np.uint8)
    if len(data) % 5:
        raise ValueError(
            f"read_bin: expected 5 bytes for each event, got {len(data)} bytes in {str(path)!r}, which is truncated; "
            "get it again"
        )
    column, row, high, middle, low = data.reshape(-1, 5).T.astype(np.int64)
    times = (high & 0x7F) << 16 | middle << 8 | low
    turned = row == OVERFLOW_ROW
    times = times + OVERFLOW * np.cumsum(turned)
    coordinates = np.stack([high >> 7, row, column], 1)
    return times[~turned], coordinates[~turned]
