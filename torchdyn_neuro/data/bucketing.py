"""Batches of sequences that are about equally long."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..core.checks import whole_number
from .sampling import ShardedBatches


class BucketedBatches(ShardedBatches):
    """Like :class:`ShardedBatches`, but the sequences of a batch have about the same length: less of it is padding.

    In training the random order of an epoch is cut into pools of several batches; each pool is sorted by length, cut
    into batches, and the batches of the epoch are shuffled. Which samples meet still changes from epoch to epoch. In
    evaluation all samples are sorted. The order depends on ``seed`` and epoch only, whatever the number of processes,
    which share each batch: their parts are about equally long too.

    Args:
        lengths: length of each sample, [N].
        batch_size: size of a global batch.
        pool: batches that are sorted together; with 1 the order is as random as without sorting.
        shuffle: draw a new order in every epoch and leave out the incomplete last batch.
        seed: seed of the order.
        rank: index of this process.
        processes: number of processes.
        epoch: tells the current epoch.

    Raises:
        ValueError: if training batches cannot be dealt out evenly, or there are fewer samples than one batch.

    Source: Khomenko et al. (2016), Accelerating recurrent neural network training using sequence bucketing,
    arXiv:1708.05604.

    Example:
        >>> batches = BucketedBatches(torch.tensor([5, 1, 4, 2]), 2, shuffle=False)
        >>> [batch.tolist() for batch in batches]
        [[1, 3], [2, 0]]
    """

    def __init__(
        self,
        lengths: Tensor,
        batch_size: int,
        *,
        shuffle: bool,
        pool: int = 16,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
        epoch: Callable[[], int] = lambda: 0,
    ):
        super().__init__(
            len(lengths), batch_size, shuffle=shuffle, seed=seed, rank=rank, processes=processes, epoch=epoch
        )
        self.lengths = lengths
        self.pool = whole_number("BucketedBatches", "pool", pool, 1)

    def batches(self) -> list[Tensor]:
        if not self.shuffle:
            return list(torch.argsort(self.lengths, stable=True).split(self.batch_size))
        generator = self.generator()
        order = torch.randperm(self.samples, generator=generator)[: len(self) * self.batch_size]
        batches = []
        for pool in order.split(self.pool * self.batch_size):
            batches += pool[torch.argsort(self.lengths[pool], stable=True)].split(self.batch_size)
        return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]
