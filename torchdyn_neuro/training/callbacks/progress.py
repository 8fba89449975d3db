"""Progress on a terminal, and in a file."""

import sys
import time

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar


class Progress(ProgressBar):
    """A progress bar on a terminal, a plain line per epoch otherwise: making one makes a bar of that class."""

    def __new__(cls) -> ProgressBar:
        return RichProgressBar() if sys.stdout.isatty() else PlainProgress()


class PlainProgress(ProgressBar):
    """Prints one line per epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True
        self.started = 0.0

    def disable(self) -> None:
        self.enabled = False

    def enable(self) -> None:
        self.enabled = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_start(trainer, pl_module)
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.enabled or not trainer.is_global_zero:
            return
        parts = [f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"]
        for key in ("train/loss", "val/loss", "val/accuracy"):
            if key in trainer.callback_metrics:
                parts.append(f"{key} {trainer.callback_metrics[key].item():.4f}")
        print("  ".join(parts), f" {time.perf_counter() - self.started:.1f} s", flush=True)
