"""What an inference costs."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ...core.checks import whole_number
from ...metrics import EfficiencyCounter


class Efficiency(Callback):
    """Logs what a sample of the test data costs, as :func:`~torchdyn_neuro.metrics.efficiency_report` counts it.

    Tags: ``cost/spikes``, ``cost/accumulates``, ``cost/multiply_accumulates``, ``cost/energy_nj``.

    Args:
        batches: number of batches that are counted, the first ones; counting takes about as long as they do.
    """

    def __init__(self, batches: int = 10):
        super().__init__()
        self.batches = whole_number("Efficiency", "batches", batches, 1)
        self.counter: EfficiencyCounter | None = None
        self.counting = False

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.counter = EfficiencyCounter(pl_module.model)
        self.counter.__enter__()
        self.counting = True

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: object
    ) -> None:
        if batch_idx + 1 >= self.batches:
            self._stop()

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()
        report = self.counter.report()
        for name in ("spikes", "accumulates", "multiply_accumulates"):
            pl_module.log(f"cost/{name}", getattr(report, name), sync_dist=True)
        pl_module.log("cost/energy_nj", report.energy(), sync_dist=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.counting:
            self.counter.__exit__(None, None, None)
            self.counting = False
