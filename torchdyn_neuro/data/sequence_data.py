"""What every data set of sequences shares: padded batches with their lengths, and loaders that resume exactly."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ..core.checks import whole_number
from ..core.random import philox
from .bucketing import BucketedBatches
from .split_data import SplitData

Batch = tuple[Tensor, Tensor, Tensor]
"""Frames [B, T, *], zero from the end of a sample on; labels [B]; lengths [B]."""


class Sequences(ABC):
    """The samples of a split.

    labels: class of each, [N]; lengths: steps of each, about, [N].
    """

    labels: Tensor
    lengths: Tensor

    @abstractmethod
    def batch(self, samples: Tensor, epoch: int | None) -> Batch:
        """Some of the samples, padded at the end to the longest.

        Args:
            samples: which of them, [B].
            epoch: of the training that they are changed at random for; as they are without one.
        """

    def look(self, samples: Tensor, number: int) -> Batch:
        """The samples changed at random as in an epoch of that number, by nothing that follows from their labels."""
        return self.batch(samples, number)


def sample_words(seed: int, epoch: int, samples: Tensor) -> tuple[Tensor, ...]:
    """Four random words of 32 bits for each sample, a function of seed and epoch and not of its batch."""
    return philox((samples, epoch, 0, 0), (seed & 0xFFFFFFFF, seed >> 32))


class SequenceData(SplitData, ABC):
    r"""Base of the sets of sequences. A subclass says ``shape`` and ``classes`` and writes :meth:`load`.

    A batch is ``(frames [B, T, *shape], labels [B], lengths [B])``, float32 and int64. Order and augmentation are
    functions of seed and epoch, so a run that goes on sees what the uninterrupted one would have seen.

    Args:
        batch_size: size of a batch, over all processes together.
        bucket: number of batches that are sorted by length together while training, see :class:`BucketedBatches`;
            1 leaves the order random.
        workers: processes that make batches beside the training; 0: none.
        seed: seed of the order of the samples and of their augmentation.

    Raises:
        ValueError: from ``setup``, if a split is empty.
    """

    shape: tuple[int, ...]
    classes: int

    def __init__(self, *, batch_size: int = 128, bucket: int = 1, workers: int = 0, seed: int = 0):
        super().__init__()
        owner = type(self).__name__
        self.batch_size = whole_number(owner, "batch_size", batch_size, 1)
        self.bucket = whole_number(owner, "bucket", bucket, 1)
        self.workers = whole_number(owner, "workers", workers, 0)
        self.seed = seed
        self.splits: dict[str, Sequences] = {}

    @abstractmethod
    def load(self) -> dict[str, Sequences]:
        """The splits ``train``, ``val`` and ``test``."""

    def setup(self, stage: str | None = None) -> None:
        if self.splits:
            return
        splits = self.load()
        for name, split in splits.items():
            if not len(split.labels):
                raise ValueError(
                    f"{type(self).__name__}: expected at least one sample in the {name} split, got none; change how "
                    "the data are split, for example data.validation"
                )
        self.splits = splits

    def loader(self, name: str, *, shuffle: bool) -> DataLoader:
        """Batches of a split; with ``shuffle`` in random order and changed at random."""
        self.setup()
        split = self.splits[name]
        batches = BucketedBatches(
            split.lengths,
            self.batch_size,
            shuffle=shuffle,
            pool=self.bucket,
            **self.share(),
        )
        return _Loader(
            _Batches(split),
            sampler=_WithEpoch(batches, self.epoch if shuffle else None),
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=self.workers,
            # With a generator of its own, a new pass takes no number from the one that the model draws from.
            generator=torch.Generator().manual_seed(self.seed),
        )


class _Loader(DataLoader):
    """Begins a pass when its first batch is asked for.

    On a resume the trainer calls ``iter`` before it knows which epoch it is in, and worker processes would begin.
    """

    def __iter__(self) -> Iterator[Batch]:
        yield from super().__iter__()


class _WithEpoch(Sampler):
    """Says with the indices of each batch which epoch they are for: worker processes do not see the trainer."""

    def __init__(self, batches: BucketedBatches, epoch: Callable[[], int] | None):
        self.batches, self.epoch = batches, epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, int | None]]:
        epoch = self.epoch() if self.epoch else None
        return ((batch, epoch) for batch in self.batches)


class _Batches(Dataset):
    def __init__(self, split: Sequences):
        self.split = split

    def __len__(self) -> int:
        return len(self.split.labels)

    def __getitem__(self, key: tuple[Tensor, int | None]) -> Batch:
        return self.split.batch(*key)


def _as_it_is(batch: Batch) -> Batch:
    return batch
