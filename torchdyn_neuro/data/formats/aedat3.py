"""AEDAT 3.1, the format of cAER: packets of events."""

from pathlib import Path

import numpy as np

from .aedat2 import header_end

VERSION = b"#!AER-DAT3.1"
END = b"#!END-HEADER\r\n"
HEADER = np.dtype(
    [
        ("type", "<i2"),
        ("source", "<i2"),
        ("size", "<i4"),
        ("offset", "<i4"),
        ("overflow", "<i4"),
        ("capacity", "<i4"),
        ("number", "<i4"),
        ("valid", "<i4"),
    ]
)
POLARITY, BYTES = 1, 8


def read_aedat3(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The times, microseconds, and the coordinates (polarity, row, column) of the valid polarity events of a file.

    Each packet has a header of 28 bytes, which says type, size and number of its events, and how often the clock has
    passed 2^31. A polarity event is a word and a time, both little-endian: bit 0 is 1 for a valid event, bit 1 the
    polarity, bits 2 to 16 the row, bits 17 to 31 the column. Other events are skipped.

    Args:
        path: an ``.aedat`` file.

    Raises:
        ValueError: if the file is of another version or truncated.

    Source: iniVation, AEDAT file formats, version 3.1; Amir et al. (2017), CVPR (DVS128 Gesture).
    """
    data = path.read_bytes()
    if not data.startswith(VERSION):
        raise ValueError(
            f"read_aedat3: expected {VERSION.decode()} at the beginning of {str(path)!r}, got {data[:12]!r}; get it "
            "again"
        )
    # A packet may begin with the byte of "#".
    end = data.find(END)
    place = end + len(END) if end >= 0 else header_end(data)
    words, times = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    while place < len(data):
        header = np.frombuffer(data, HEADER, 1, place)[0] if place + HEADER.itemsize <= len(data) else None
        place += HEADER.itemsize
        kind, each, capacity, number = (
            (0, 0, 0, 0) if header is None else (int(header[key]) for key in ("type", "size", "capacity", "number"))
        )
        size = each * capacity
        whole = header is not None and 0 <= number <= capacity and each > 0 and place + size <= len(data)
        if not whole or (kind == POLARITY and each != BYTES):
            raise ValueError(
                f"read_aedat3: expected whole packets of events in {str(path)!r}, got {number} of {capacity} events of "
                f"{each} bytes with {max(0, len(data) - place)} bytes left, so it is truncated or damaged; get it again"
            )
        if kind == POLARITY:
            packet = np.frombuffer(data, "<u4", 2 * number, place).astype(np.int64)
            words.append(packet[::2])
            times.append(packet[1::2] + (int(header["overflow"]) << 31))
        place += size
    word, time = np.concatenate(words), np.concatenate(times)
    valid = word & 1 == 1
    coordinates = np.stack([word >> 1 & 1, word >> 2 & 0x7FFF, word >> 17 & 0x7FFF], 1)
    return time[valid], coordinates[valid]
