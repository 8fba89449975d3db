from pathlib import Path

import pytest
import torch

from torchdyn_neuro.data import Digits, FashionMNIST, ShardedBatches
from torchdyn_neuro.data.image_data import augment

DATA = Path(__file__).parents[3] / "shared/data"


def test_digits_are_split_by_class_without_overlap():
    data = Digits()
    data.setup()
    counts = {name: torch.bincount(split.labels, minlength=10) for name, split in data.splits.items()}
    assert sum(int(count.sum()) for count in counts.values()) == 1797
    assert counts["test"].max() - counts["test"].min() <= 2
    assert data.splits["train"].images.max() == 1


def test_batches_are_the_same_for_any_number_of_processes():
    whole = list(ShardedBatches(50, 8, shuffle=True, seed=3))
    shards = [list(ShardedBatches(50, 8, shuffle=True, seed=3, rank=rank, processes=2)) for rank in range(2)]
    for batch, *parts in zip(whole, *shards, strict=True):
        assert sorted(torch.cat(parts).tolist()) == sorted(batch.tolist())
    assert len(torch.cat(whole).unique()) == 48


def test_evaluation_batches_cover_every_sample_once():
    shards = [list(ShardedBatches(17, 8, shuffle=False, rank=rank, processes=4)) for rank in range(4)]
    assert sorted(torch.cat([torch.cat(shard) for shard in shards]).tolist()) == list(range(17))


def test_order_depends_on_epoch_and_seed():
    epoch = [0]
    batches = ShardedBatches(50, 50, shuffle=True, epoch=lambda: epoch[0])
    first = next(iter(batches))
    assert torch.equal(first, next(iter(batches)))
    epoch[0] = 1
    assert not torch.equal(first, next(iter(batches)))


def test_shift_moves_whole_images():
    torch.manual_seed(0)
    image = torch.zeros(64, 2, 5, 5)
    image[:, 0, 2, 2], image[:, 1, 2, 3] = 1.0, 2.0
    moved = augment(image, shift=1, flip=False)
    assert moved.shape == image.shape
    assert (moved.flatten(1).sum(1) == 3).all()
    first, second = (torch.nonzero(moved[:, channel])[:, 1:] for channel in range(2))
    assert torch.equal(first + torch.tensor([0, 1]), second)
    assert len({tuple(place.tolist()) for place in first}) == 9


def test_missing_data_says_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"get it with: python -c .*datasets\.FashionMNIST"):
        FashionMNIST(root=str(tmp_path), download=False).prepare_data()


@pytest.mark.skipif(not (DATA / "FashionMNIST").exists(), reason="../shared/data/FashionMNIST is not here")
def test_fashion_mnist_reads():
    data = FashionMNIST(root=str(DATA), download=False)
    data.setup()
    assert {name: len(split.labels) for name, split in data.splits.items()} == {
        "train": 55000,
        "val": 5000,
        "test": 10000,
    }
    assert torch.bincount(data.splits["val"].labels).tolist() == [500] * 10
