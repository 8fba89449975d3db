"""AEDAT 2.0, the format of jAER, with the addresses of a DVS128."""

from pathlib import Path

import numpy as np

VERSION = b"#!AER-DAT2.0"
SIDE = 128


def read_aedat2(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The times from the first event on, microseconds, and the coordinates (polarity, row, column), upright.

    Behind lines that begin with ``#`` come pairs of big-endian words of 32 bits, address and time. Bit 0 of an address
    is 1 for OFF, bits 1 to 7 and 8 to 14 are the place; the sensor lies on its side, and both count from the far end.

    Args:
        path: an ``.aedat`` file.

    Raises:
        ValueError: if the file is of another version or truncated.

    Source: Li et al. (2017), CIFAR10-DVS, Front. Neurosci. 11:309; Lichtsteiner, Posch & Delbruck (2008), IEEE JSSC
    43:566.
    """
    data = path.read_bytes()
    version = data[: len(VERSION)]
    start = header_end(data)
    if version != VERSION or (len(data) - start) % 8:
        reason = (
            f"it begins with {version!r}" if version != VERSION else f"{(len(data) - start) % 8} bytes are left over"
        )
        raise ValueError(
            f"read_aedat2: expected {VERSION.decode()} and 8 bytes for each event in {str(path)!r}, but {reason}; get "
            "it again"
        )
    words = np.frombuffer(data, ">u4", offset=start).astype(np.int64)
    address, times = words[::2], words[1::2]
    coordinates = np.stack([1 - (address & 1), SIDE - 1 - (address >> 1 & 0x7F), SIDE - 1 - (address >> 8 & 0x7F)], 1)
    return times - (times.min() if len(times) else 0), coordinates


def header_end(data: bytes) -> int:
    """Where the lines that begin with ``#`` end.

    Example:
        >>> header_end(b"#!AER-DAT2.0\\r\\n# a camera\\r\\n0123")
        26
    """
    start = 0
    while data[start : start + 1] == b"#":
        end = data.find(b"\n", start)
        if end < 0:
            return len(data)
        start = end + 1
    return start
