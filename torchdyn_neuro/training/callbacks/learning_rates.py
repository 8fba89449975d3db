"""The learning rate of each group of parameters."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor


class LearningRates(LearningRateMonitor):
    """Lightning's ``LearningRateMonitor``, every few steps; a run without a logger has nobody to tell.

    Tags: ``lr-<optimiser>/<group>``.
    """

    def __init__(self) -> None:
        super().__init__(logging_interval="step")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.loggers:
            super().on_train_start(trainer, pl_module)

    def on_train_batch_start(self, trainer: Trainer, *arguments: Any) -> None:
        if trainer.loggers:
            super().on_train_batch_start(trainer, *arguments)
