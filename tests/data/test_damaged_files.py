"""Files that are truncated or damaged are named, with the way to mend them."""

import gzip
import pickle
import re

import pytest
import torch

from torchdyn_neuro.data import CIFAR10, KMNIST, MNIST, FashionMNIST
from torchdyn_neuro.data.vision import damaged_file

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(*sizes, content=None):
    header = b"\0\0\x08" + bytes([len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes)
    count = torch.Size(sizes).numel()
    return header + (bytes(index % 10 for index in range(count)) if content is None else content)


def files(folder, count=100):
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_bytes(idx(count, 28, 28) if "images" in name else idx(count))


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST, KMNIST])
def test_whole_files_are_read(tmp_path, kind):
    files(tmp_path / kind.__name__ / "raw")
    data = kind(root=str(tmp_path), download=False, validation=20)
    data.prepare_data()
    data.setup()
    assert {name: len(split.labels) for name, split in data.splits.items()} == {"train": 80, "val": 20, "test": 100}


DAMAGED = {
    "empty": b"",
    "two bytes": b"\0\0",
    "no sizes": b"\0\0\x08\x03",
    "half a header": idx(100, 28, 28)[:10],
    "nothing behind the header": idx(100, 28, 28, content=b""),
    "no samples": idx(0, 28, 28),
    "truncated": idx(100, 28, 28)[:-1],
    "too long": idx(100, 28, 28) + b"0",
    "another format": gzip.compress(idx(100, 28, 28)),
    "text": b"<html>404 not found</html>" * 100,
    "another type": b"\0\0\x0d\x03" + idx(100, 28, 28)[4:],
}


@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_idx_file_is_named(tmp_path, name, damage, download):
    folder = tmp_path / "MNIST/raw"
    files(folder)
    (folder / name).write_bytes(DAMAGED[damage])
    with pytest.raises(ValueError, match=f"{name}.* of {len(DAMAGED[damage])} bytes, .*; delete it and get it again"):
        MNIST(root=str(tmp_path), download=download).prepare_data()


def test_images_and_labels_of_different_numbers(tmp_path):
    folder = tmp_path / "MNIST/raw"
    files(folder)
    (folder / NAMES[1]).write_bytes(idx(99))
    with pytest.raises(ValueError, match=r"as many labels as images, got 99 and 100 .*; delete its files"):
        MNIST(root=str(tmp_path), download=False).prepare_data()


@pytest.mark.parametrize("name", ["training.pt", "test.pt"])
def test_files_of_an_early_torchvision(tmp_path, name):
    folder = tmp_path / "MNIST/processed"
    folder.mkdir(parents=True)
    for each in ("training.pt", "test.pt"):
        torch.save((torch.zeros(10, 28, 28, dtype=torch.uint8), torch.arange(10)), folder / each)
    (folder / name).write_bytes((folder / name).read_bytes()[:200])
    with pytest.raises(ValueError, match=re.escape(str(folder / name))):
        MNIST(root=str(tmp_path), download=False).prepare_data()


class Hostile:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


def test_a_damaged_cifar_file_is_named_and_not_unpickled(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(ValueError, match=r"data_batch_1' of .* truncated or damaged; delete it and get it again"):
        CIFAR10(root=str(tmp_path), download=False).prepare_data()


def test_what_is_missing_is_not_damaged(tmp_path):
    from torchvision import datasets

    assert damaged_file(datasets.MNIST, str(tmp_path)) is None
    assert damaged_file(datasets.CIFAR10, str(tmp_path)) is None


def test_no_samples_for_validation(tmp_path):
    files(tmp_path / "MNIST/raw")
    with pytest.raises(ValueError, match=r"at least one sample in the val split, got none; .*data\.validation"):
        MNIST(root=str(tmp_path), download=False, validation=0).setup()
