"""The order of the samples: a pure function of seed, epoch and rank."""

from collections.abc import Callable, Iterator

import torch
from torch.utils.data import Sampler


class ShardedBatches(Sampler[torch.Tensor]):
    """Yields the indices of whole batches, the same ones however many processes share them.

    The permutation depends on ``seed`` and epoch only, so a resumed run goes on with the order of the uninterrupted
    one; each global batch is dealt out to the processes, so that their mean gradient is that of a single process.

    Args:
        samples: number of samples.
        batch_size: size of a global batch.
        shuffle: draw a new order in every epoch and leave out the incomplete last batch.
        seed: seed of the order.
        rank: index of this process.
        processes: number of processes.
        epoch: tells the current epoch.

    Raises:
        ValueError: if training batches cannot be dealt out evenly, or there are fewer samples than one batch.
    """

    def __init__(
        self,
        samples: int,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
        epoch: Callable[[], int] = lambda: 0,
    ):
        if shuffle and (batch_size % processes or samples < batch_size):
            raise ValueError(
                f"ShardedBatches: expected a batch size that {processes} process(es) can share and at most "
                f"{samples} samples, got {batch_size}; change data.batch_size"
            )
        self.samples, self.batch_size, self.shuffle = samples, batch_size, shuffle
        self.seed, self.rank, self.processes = seed, rank, processes
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(self.samples, self.batch_size)
        # A rank has no share of a last batch that is smaller than its index.
        return whole + int(not self.shuffle and rest > self.rank)

    def __iter__(self) -> Iterator[torch.Tensor]:
        for batch in self.batches()[: len(self)]:
            yield batch[self.rank :: self.processes]

    def batches(self) -> list[torch.Tensor]:
        """The samples of each global batch of the current epoch, in order."""
        order = torch.randperm(self.samples, generator=self.generator()) if self.shuffle else torch.arange(self.samples)
        return list(order.split(self.batch_size))

    def generator(self) -> torch.Generator:
        """What the order of the current epoch is drawn from."""
        # Distinct for every (seed, epoch) with fewer than a million epochs.
        return torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch())
