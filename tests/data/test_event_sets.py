"""Each set of events on files made in its format, and on the real ones where they are."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.data.test_formats import aedat2, aedat3, bin_event, packet, write_hdf5
from torchdyn_neuro.data import CIFAR10DVS, NMNIST, SHD, SSC, BinRecordings, DVSGesture, HDF5Events, SpokenDigits
from torchdyn_neuro.data.cifar10_dvs import CLASSES

DIGITS = [str(digit) for digit in range(10)]
DATA = Path(__file__).parents[3] / "shared/data"
needs_digits = pytest.mark.skipif(
    not (DATA / "spoken_digits").exists(), reason="../shared/data/spoken_digits is not here"
)
needs_nmnist = pytest.mark.skipif(not (DATA / "NMNIST").exists(), reason="../shared/data/NMNIST is not here")


def make_hdf5(folder, names, classes):
    folder.mkdir(parents=True)
    for name in names:
        count = 2 * classes
        labels, people = [index % classes for index in range(count)], [index % 4 for index in range(count)]
        write_hdf5(folder / name, [[0.0, 0.1]] * count, [[index % 64, 5] for index in range(count)], labels, people)


@pytest.mark.parametrize(
    ("kind", "folder", "names", "channels"),
    [
        (SpokenDigits, "spoken_digits", ["spoken_digits_train.h5", "spoken_digits_test.h5"], 64),
        (SHD, "SHD", ["shd_train.h5", "shd_test.h5"], 700),
        (SSC, "SSC", ["ssc_train.h5", "ssc_valid.h5", "ssc_test.h5"], 700),
    ],
)
def test_spoken_sets(tmp_path, kind, folder, names, channels):
    make_hdf5(tmp_path / folder, names, kind(root="").classes)
    for root in (tmp_path, tmp_path / folder):
        data = kind(root=str(root), dt=10.0, batch_size=4)
        data.prepare_data()
        frames, _, lengths = next(iter(data.test_dataloader()))
        # 0.1 s is 0.09998 s in float16, as published.
        assert (frames.shape, lengths.tolist()) == ((4, 10, channels), [10] * 4)
        assert data.shape == (channels,)
    held = kind(root=str(tmp_path), test_people=[1], validation=[2])
    held.setup()
    assert held.splits["test"].events.people[held.splits["test"].chosen].unique().tolist() == [1]
    (tmp_path / folder / names[-1]).unlink()
    with pytest.raises(FileNotFoundError, match=f"expected .*{names[-1]}.* get the data set from .* or set data.root"):
        kind(root=str(tmp_path)).prepare_data()


def test_official_validation_of_ssc(tmp_path):
    make_hdf5(tmp_path / "SSC", ["ssc_train.h5", "ssc_valid.h5", "ssc_test.h5"], 35)
    official, share = SSC(root=str(tmp_path)), SSC(root=str(tmp_path), validation=0.25)
    for data in (official, share):
        data.setup()
    assert [len(official.splits[name].labels) for name in ("train", "val", "test")] == [70, 70, 70]
    assert [len(share.splits[name].labels) for name in ("train", "val", "test")] == [105, 35, 70]


def test_files_of_ones_own(tmp_path):
    make_hdf5(tmp_path / "mine", ["all.h5"], 5)
    data = HDF5Events(
        root=str(tmp_path / "mine"),
        train="all.h5",
        fold=0,
        folds=2,
        channels=64,
        classes=5,
        batch_size=2,
        validation=0.2,
    )
    assert len(next(iter(data.test_dataloader()))[1]) == 2
    with pytest.raises(ValueError, match=r"label from 0 to 3, got 4 in sample 4 of '.*all\.h5'"):
        HDF5Events(root=str(tmp_path / "mine"), train="all.h5", fold=0, channels=64, classes=4).setup()


@needs_digits
def test_spoken_digits():
    pytest.importorskip("h5py", reason="h5py is not installed")
    data = SpokenDigits(root=str(DATA), dt=10.0, duration=720.0, length="duration", batch_size=300)
    frames, labels, lengths = next(iter(data.test_dataloader()))
    assert frames.shape == (300, 72, 64)
    assert labels.bincount().tolist() == [30] * 10
    assert set(lengths.tolist()) == {72}
    train = data.splits["train"]
    counts = torch.zeros(10, 6).index_put(
        (train.labels, train.events.people[train.chosen]), torch.ones(len(train.labels)), accumulate=True
    )
    # Of 45 of each digit and speaker, a tenth is for validation.
    assert set(counts.flatten().tolist()) == {40.0, 41.0}
    # The first sample of the test set, by hand.
    import h5py

    with h5py.File(DATA / "spoken_digits/spoken_digits_test.h5") as file:
        times, units = file["spikes/times"][0], file["spikes/units"][0]
    expected = np.zeros((72, 64))
    np.add.at(expected, (np.rint(times * 1000 / 5).astype(int) // 2, units), 1)
    split = data.splits["test"]
    assert torch.equal(split.batch(torch.tensor([0]), None)[0][0], torch.from_numpy(expected).float())


def make_recordings(folder, parts, classes, *, count=2, event=bin_event):
    for part in parts:
        for name in classes:
            (folder / part / name).mkdir(parents=True)
            for index in range(count):
                (folder / part / name / f"{index:05d}.bin").write_bytes(event(index, 3, 1, 1500) + event(33, 33, 0, 20))


def test_nmnist(tmp_path):
    make_recordings(tmp_path / "NMNIST", ("Train", "Test"), DIGITS)
    data = NMNIST(root=str(tmp_path), validation=0.5, batch_size=20)
    [(frames, labels, lengths)] = data.test_dataloader()
    assert frames.shape == (20, 2, 2, 34, 34)
    assert labels.bincount().tolist() == [2] * 10
    assert frames[0, 1, 1, 3, 0] == frames[0, 0, 0, 33, 33] == 1
    assert frames.sum() == 40
    assert lengths.tolist() == [2] * 20


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bin_event(0, 0, 0, 0)[:3], "got 3 bytes"),
        (b"", "got none"),
        (bin_event(34, 0, 0, 0), "columns from 0 to 33, got 34 to 34"),
    ],
)
def test_damaged_recordings_are_named(tmp_path, content, message):
    make_recordings(tmp_path / "NMNIST", ("Train", "Test"), DIGITS, count=1)
    (tmp_path / "NMNIST/Train/7/00000.bin").write_bytes(content)
    with pytest.raises(ValueError, match=f"{message} in '.*7/00000.bin'"):
        NMNIST(root=str(tmp_path)).setup()


def test_recordings_of_one_folder(tmp_path):
    make_recordings(tmp_path / "mine", ("",), ("cat", "dog"), count=4)
    options = {"root": str(tmp_path), "folder": "mine", "height": 40, "width": 50, "fold": 0, "folds": 2}
    data = BinRecordings(**options, classes=2, validation=0.5, batch_size=4)
    [(frames, labels, _)] = data.test_dataloader()
    assert frames.shape == (4, 2, 2, 40, 50)
    assert sorted(labels.tolist()) == [0, 0, 1, 1]
    with pytest.raises(ValueError, match=r"expected 3 folders of classes .*, got 2; .*data\.classes"):
        BinRecordings(**options, classes=3).setup()


@needs_nmnist
def test_nmnist_in_folds():
    options = {"root": str(DATA), "dt": 25.0, "duration": 300.0, "length": "duration", "clip": 3, "validation": 0.1}
    data = NMNIST(**options, fold=4, batch_size=2)
    data.setup()
    assert [len(data.splits[name].labels) for name in ("train", "val", "test")] == [792, 88, 220]
    frames, _, lengths = next(iter(data.train_dataloader()))
    assert frames.shape == (2, 12, 2, 34, 34)
    assert frames.max() == 3
    assert lengths.tolist() == [12, 12]


def make_cifar10_dvs(folder):
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for index in range(4):
            (folder / name / f"cifar10_{name}_{index}.aedat").write_bytes(aedat2((5, 100, 1, 40), (127, 0, 0, 1040)))


def test_cifar10_dvs(tmp_path):
    make_cifar10_dvs(tmp_path / "CIFAR10DVS")
    data = CIFAR10DVS(root=str(tmp_path), folds=4, validation=0.5, pool=4, batch_size=10)
    [(frames, labels, _)] = data.test_dataloader()
    assert frames.shape == (10, 2, 2, 32, 32)
    assert sorted(labels.tolist()) == list(range(10))
    assert frames[0, 0, 1, 25, 1] == frames[0, 1, 0, 0, 31] == 1
    broken = tmp_path / "CIFAR10DVS/cat/cifar10_cat_2.aedat"
    broken.write_bytes(aedat2())
    with pytest.raises(ValueError, match=r"at least one event, got none in '.*cifar10_cat_2\.aedat'"):
        CIFAR10DVS(root=str(tmp_path), folds=4).setup()


def make_gestures(folder):
    folder.mkdir()
    for user in (1, 2, 24):
        name = f"user{user:02d}_fluorescent"
        times = [1000 * index for index in range(22)]
        (folder / f"{name}.aedat").write_bytes(aedat3(packet([(user, 64, 1, time) for time in times])))
        rows = "".join(f"{label},{2000 * label - 2000},{2000 * label}\n" for label in range(1, 12))
        (folder / f"{name}_labels.csv").write_text(f"class,startTime_usec,endTime_usec\n{rows}")
    (folder / "trials_to_train.txt").write_text("user01_fluorescent.aedat\nuser02_fluorescent.aedat\n")
    (folder / "trials_to_test.txt").write_text("user24_fluorescent.aedat\n")


def test_dvs_gesture(tmp_path):
    make_gestures(tmp_path / "DvsGesture")
    data = DVSGesture(root=str(tmp_path), validation=[2], batch_size=11)
    [(frames, labels, lengths)] = data.test_dataloader()
    assert frames.shape == (11, 2, 2, 128, 128)
    assert sorted(labels.tolist()) == list(range(11))
    assert (frames[:, :, 1, 64, 24] == 1).all()
    assert lengths.tolist() == [2] * 11
    assert [len(data.splits[name].labels) for name in ("train", "val")] == [11, 11]


def test_dvs_gesture_as_arrays(tmp_path):
    for part, user in (("ibmGestureTrain", 1), ("ibmGestureTest", 24)):
        folder = tmp_path / "DVSGesture" / part / f"user{user:02d}_led"
        folder.mkdir(parents=True)
        for label in range(11):
            # Column, row, polarity, milliseconds.
            np.save(folder / f"{label}.npy", np.array([[user, 64, 1, 100.0], [user, 65, 0, 101.5]]))
    data = DVSGesture(root=str(tmp_path), validation=0.5, batch_size=11)
    [(frames, labels, _)] = data.test_dataloader()
    assert frames.shape == (11, 2, 2, 128, 128)
    assert sorted(labels.tolist()) == list(range(11))
    assert (frames[:, 0, 1, 64, 24] == 1).all()
    assert (frames[:, 1, 0, 65, 24] == 1).all()
    broken = tmp_path / "DVSGesture/ibmGestureTrain/user01_led/3.npy"
    np.save(broken, np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"\[E, 4\], got float64 \(4, 3\) in '.*user01_led/3\.npy'"):
        DVSGesture(root=str(tmp_path)).setup()
    broken.write_bytes(b"123")
    with pytest.raises(ValueError, match=r"got '.*user01_led/3\.npy', which is truncated"):
        DVSGesture(root=str(tmp_path)).setup()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("class,start\n1,0\n", r"expected the columns class, startTime_usec, endTime_usec in '.*user02.*_labels\.csv'"),
        (
            "class,startTime_usec,endTime_usec\n1,0\n",
            r"three whole numbers, got \['1', '0', None\] in line 2 of '.*csv'",
        ),
        (
            "class,startTime_usec,endTime_usec\n12,0,9000\n",
            r"label from 0 to 10, got 11 in gesture 0 of '.*user02.*aedat'",
        ),
        ("class,startTime_usec,endTime_usec\n1,90000,95000\n", r"got none in gesture 0 of '.*user02.*aedat'"),
    ],
)
def test_damaged_labels_of_gestures_are_named(tmp_path, rows, message):
    make_gestures(tmp_path / "DvsGesture")
    (tmp_path / "DvsGesture/user02_fluorescent_labels.csv").write_text(rows)
    with pytest.raises(ValueError, match=message):
        DVSGesture(root=str(tmp_path)).setup()


def test_a_missing_trial_is_named(tmp_path):
    make_gestures(tmp_path / "DvsGesture")
    (tmp_path / "DvsGesture/user02_fluorescent.aedat").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"expected 'user02_fluorescent\.aedat', which trials_to_train\.txt names"
    ):
        DVSGesture(root=str(tmp_path)).setup()


@pytest.mark.parametrize("kind", [NMNIST, CIFAR10DVS, DVSGesture])
def test_a_missing_set_says_where_it_is_to_be_had(tmp_path, kind):
    with pytest.raises(
        FileNotFoundError, match=rf"{kind.__name__}: expected .* get the data set from https://.*, or set"
    ):
        kind(root=str(tmp_path)).prepare_data()
