"""The first validation samples, kept for what is drawn of them in the course of a run."""

from abc import ABC, abstractmethod

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from ...core.checks import whole_number
from ..classification import parts_of_batch


class FixedSample(Callback, ABC):
    """Base of the callbacks that show in TensorBoard what a model does with the first samples of the validation data.

    Args:
        every: number of epochs from one time to the next; the last epoch is always shown.
        samples: number of samples that are kept.
    """

    def __init__(self, every: int, samples: int):
        super().__init__()
        owner = type(self).__name__
        self.every = whole_number(owner, "every", every, 1)
        self.samples = whole_number(owner, "samples", samples, 1)
        self.batch: Tensor | None = None
        self.lengths: Tensor | None = None
        """Real steps of the samples, where they are padded sequences."""

    @abstractmethod
    def show(self, trainer: Trainer, pl_module: LightningModule, boards: list[TensorBoardLogger]) -> None:
        """Run the model on ``self.batch`` and log what comes of it; called on every rank, for a layer may synchronise,
        but only the first (``trainer.is_global_zero``) logs.
        """

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: object, batch: object, *_: object
    ) -> None:
        if self.batch is None:
            samples, _, lengths = parts_of_batch(batch)
            self.batch = samples[: self.samples].clone()
            self.lengths = None if lengths is None else lengths[: self.samples].clone()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        last = trainer.current_epoch + 1 == trainer.max_epochs
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if self.batch is not None and boards and (last or trainer.current_epoch % self.every == 0):
            self.show(trainer, pl_module, boards)
