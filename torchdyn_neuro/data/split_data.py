"""What every data set with three splits shares: a loader of each, and the epoch that a pass belongs to."""

from abc import abstractmethod
from typing import Any

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader


class SplitData(LightningDataModule):
    """Base of the data sets with the splits ``train``, ``val`` and ``test``; a subclass writes :meth:`loader`."""

    seed: int

    def train_dataloader(self) -> DataLoader:
        return self.loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader:
        return self.loader("val", shuffle=False)

    def test_dataloader(self) -> DataLoader:
        return self.loader("test", shuffle=False)

    @abstractmethod
    def loader(self, name: str, *, shuffle: bool) -> DataLoader:
        """Batches of a split, with ``shuffle`` in random order."""

    def share(self) -> dict[str, Any]:
        """What the order of the samples depends on: the seed, the epoch, and which process of how many this is."""
        rank, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return {"seed": self.seed, "epoch": self.epoch, "rank": rank, "processes": processes}

    def epoch(self) -> int:
        """The epoch that a new pass over the training data belongs to."""
        # After a resume the first pass begins before trainer.current_epoch is brought up to date.
        return self.trainer.fit_loop.epoch_progress.current.processed if self.trainer else 0
