"""What is said of the whole validation or test data at once."""

from abc import ABC, abstractmethod
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ..classification import Judged


class Judgement(Callback, ABC):
    """Base of the callbacks that look at what was decided on all batches of the validation and of the test data.

    A subclass writes three methods, which are told the stage, ``"val"`` or ``"test"``.
    """

    @abstractmethod
    def begin(self, task: LightningModule, stage: str) -> None:
        """Begin with new data."""

    @abstractmethod
    def see(self, judged: Judged) -> None:
        """Take account of a batch."""

    @abstractmethod
    def end(self, trainer: Trainer, task: LightningModule, stage: str) -> None:
        """Say what has come of it; called on every rank."""

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.begin(pl_module, "val")

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: object, **__: object
    ) -> None:
        self.see(self._judged(outputs))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.end(trainer, pl_module, "val")

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.begin(pl_module, "test")

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: object, **__: object
    ) -> None:
        self.see(self._judged(outputs))

    def _judged(self, outputs: Any) -> Judged:
        if not isinstance(outputs, Judged):
            raise TypeError(
                f"{type(self).__name__}: expected a task whose steps return what they judged (Classification), got "
                f"{type(outputs).__name__}; leave the callback out"
            )
        return outputs

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.end(trainer, pl_module, "test")
