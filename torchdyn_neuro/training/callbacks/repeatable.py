"""Random numbers that do not depend on how often a run was interrupted."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

EPOCHS_AT_MOST, RANKS_AT_MOST = 1_000_003, 4_099


class Repeatable(Callback):
    """Seeds torch anew at the start of each epoch from the seed of the run, the epoch and the rank.

    The random state is thus a function of the epoch: a resumed run draws bit for bit what the uninterrupted one does,
    on any number of processes. Validation draws the same numbers every time and leaves those of training alone.

    Args:
        seed: seed of the run.
    """

    def __init__(self, seed: int = 0):
        super().__init__()
        self.seed = seed
        self.kept: tuple[torch.Tensor, list[torch.Tensor]] | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seed(trainer, trainer.current_epoch + 1)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        self.kept = torch.get_rng_state(), cuda
        self._seed(trainer, 0)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.kept is not None:
            cpu, cuda = self.kept
            torch.set_rng_state(cpu)
            if cuda:
                torch.cuda.set_rng_state_all(cuda)
            self.kept = None

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seed(trainer, 0)

    def _seed(self, trainer: Trainer, epoch: int) -> None:
        torch.manual_seed((self.seed * EPOCHS_AT_MOST + epoch) * RANKS_AT_MOST + trainer.global_rank)
