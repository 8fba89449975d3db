"""Readers of event files against files written here byte by byte."""

import struct

import numpy as np
import pytest

from torchdyn_neuro.data.formats.address_events import read_bin
from torchdyn_neuro.data.formats.aedat2 import read_aedat2
from torchdyn_neuro.data.formats.aedat3 import read_aedat3
from torchdyn_neuro.data.formats.hdf5 import read_hdf5


def bin_event(x, y, polarity, time):
    """40 bits as one number, the first byte first."""
    return (x << 32 | y << 24 | polarity << 23 | time).to_bytes(5, "big")


def aedat2_event(x, y, polarity, time):
    """Of a DVS128 on its side."""
    address = (127 - y) << 1 | (127 - x) << 8 | (1 - polarity)
    return struct.pack(">II", address, time)


def aedat2(*events):
    lines = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
    return lines + b"".join(aedat2_event(*event) for event in events)


def packet(events, *, kind=1, overflow=0, valid=True):
    """A packet of AEDAT 3.1: of polarity events, or of others of 8 bytes."""
    words = b"".join(struct.pack("<II", x << 17 | y << 2 | p << 1 | valid, time) for x, y, p, time in events)
    return struct.pack("<hhiiiiii", kind, 1, 8, 4, overflow, len(events), len(events), len(events)) + words


AEDAT3_HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"


def aedat3(*packets):
    return AEDAT3_HEADER + b"".join(packets)


def test_bin(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bin_event(33, 7, 1, 0x7ABCDE) + bin_event(0, 33, 0, 5))
    times, coordinates = read_bin(path)
    assert times.tolist() == [0x7ABCDE, 5]
    assert coordinates.tolist() == [[1, 7, 33], [0, 33, 0]]


def test_bin_clock_that_turns_over(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(bin_event(1, 1, 0, 100) + bin_event(0, 240, 0, 0) + bin_event(2, 1, 0, 3))
    times, coordinates = read_bin(path)
    assert times.tolist() == [100, 8192 + 3]
    assert coordinates[:, 2].tolist() == [1, 2]


def test_aedat2(tmp_path):
    path = tmp_path / "a.aedat"
    path.write_bytes(aedat2((5, 100, 1, 1000), (127, 0, 0, 4500)))
    times, coordinates = read_aedat2(path)
    assert times.tolist() == [0, 3500]
    assert coordinates.tolist() == [[1, 100, 5], [0, 0, 127]]


def test_aedat3(tmp_path):
    path = tmp_path / "a.aedat"
    special = packet([(0, 0, 0, 0)], kind=0)
    path.write_bytes(
        # A packet whose first byte is that of "#" is one all the same.
        aedat3(special, packet([(5, 100, 1, 7), (127, 0, 0, 9)]), packet([(1, 2, 0, 3)], overflow=1))
        + packet([(9, 9, 1, 50)], valid=False)
    )
    times, coordinates = read_aedat3(path)
    assert times.tolist() == [7, 9, 2**31 + 3]
    assert coordinates.tolist() == [[1, 100, 5], [0, 0, 127], [0, 2, 1]]


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_bin, bin_event(1, 1, 1, 1)[:-1], "5 bytes for each event, got 4 bytes in .*truncated; get it again"),
        (read_aedat2, aedat2((1, 1, 1, 1))[:-3], "5 bytes are left over; get it again"),
        (read_aedat2, b"#!AER-DAT3.1\r\n", "expected #!AER-DAT2.0 .* but it begins with b'#!AER-DAT3.1'"),
        (read_aedat2, b"", "begins with b''"),
        (read_aedat3, b"#!AER-DAT2.0\r\n", "expected #!AER-DAT3.1 at the beginning"),
        (
            read_aedat3,
            aedat3(packet([(1, 1, 1, 1)] * 3))[:-1],
            "whole packets of events .*3 of 3 events of 8 bytes with 23",
        ),
        (read_aedat3, aedat3(packet([(1, 1, 1, 1)]))[:-20], "whole packets of events"),
        (read_aedat3, aedat3(struct.pack("<hhiiiiii", 1, 1, 8, 4, 0, 1, 2, 2) + bytes(8)), "got 2 of 1 events"),
        (read_aedat3, aedat3(struct.pack("<hhiiiiii", 1, 1, 4, 4, 0, 2, 2, 2) + bytes(8)), "events of 4 bytes"),
        (read_aedat3, aedat3(struct.pack("<hhiiiiii", 1, 1, -8, 4, 0, 2, 2, 2)), "events of -8 bytes"),
    ],
)
def test_damaged_files_are_named(tmp_path, read, content, message):
    path = tmp_path / "broken.file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read(path)
    assert "broken.file" in str(caught.value)


@pytest.mark.parametrize("content", [b"", AEDAT3_HEADER[:20], AEDAT3_HEADER])
def test_empty_recordings_are_read(tmp_path, content):
    """The set says which sample it is."""
    path = tmp_path / "a"
    path.write_bytes(content or aedat2())
    times, coordinates = (read_aedat3 if content else read_aedat2)(path)
    assert (times.shape, coordinates.shape) == ((0,), (0, 3))


def write_hdf5(path, times, units, labels, people=None, *, dtype="float16", leave_out=()):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(path, "w") as file:
        for name, rows, kind in (("spikes/times", times, dtype), ("spikes/units", units, "uint16")):
            if name not in leave_out:
                part = file.create_dataset(name, (len(rows),), dtype=h5py.vlen_dtype(np.dtype(kind)))
                for index, row in enumerate(rows):
                    part[index] = np.asarray(row, dtype=kind)
        if "labels" not in leave_out:
            file["labels"] = np.asarray(labels, dtype=np.uint16)
        if people is not None:
            file["extra/speaker"] = np.asarray(people, dtype=np.uint16)


def test_hdf5(tmp_path):
    path = tmp_path / "a.h5"
    write_hdf5(path, [[0.0, 0.25], [0.5]], [[3, 699], [0]], [1, 0], [4, 5])
    first, second = read_hdf5(path)
    assert first.times.tolist() == [0, 250_000]
    assert first.units.tolist() == [3, 699]
    assert (first.label, first.person, second.label, second.person) == (1, 4, 0, 5)
    assert second.name == f"sample 1 of {str(path)!r}"
    write_hdf5(path, [[0.0]], [[3]], [1])
    assert [each.person for each in read_hdf5(path)] == [-1]


def test_times_on_a_grid_stay_on_it(tmp_path):
    path = tmp_path / "a.h5"
    # In float32, 0.23 s is a little less, and would fall into the step before.
    write_hdf5(path, [[0.23]], [[3]], [1], dtype="float32")
    [recording] = read_hdf5(path)
    assert round(float(recording.times[0])) == 230_000


@pytest.mark.parametrize("absent", ["spikes/times", "spikes/units", "labels"])
def test_another_layout_is_named(tmp_path, absent):
    path = tmp_path / "a.h5"
    write_hdf5(path, [[0.0]], [[3]], [1], leave_out=[absent])
    with pytest.raises(ValueError, match=r"expected spikes/times .*a\.h5', which is truncated, damaged or of another"):
        list(read_hdf5(path))


def test_another_number_of_labels_is_named(tmp_path):
    path = tmp_path / "a.h5"
    write_hdf5(path, [[0.0], [0.1]], [[3], [4]], [1])
    with pytest.raises(ValueError, match=r"as many times, units, labels and speakers in '.*a\.h5', got \[2, 2, 1, 1\]"):
        list(read_hdf5(path))


@pytest.mark.parametrize("keep", [0, 100, -200])
def test_a_truncated_hdf5_file_is_named(tmp_path, keep):
    path = tmp_path / "a.h5"
    write_hdf5(path, [[0.0]] * 100, [[3]] * 100, [1] * 100)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"a\.h5', which is truncated, damaged or of another layout"):
        list(read_hdf5(path))


def test_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(ImportError, match=r'expected h5py.*pip install "torchdyn_neuro\[events\]"'):
        list(read_hdf5(tmp_path / "a.h5"))
