"""How sure, and how soon, a network is of what it says."""

from lightning.pytorch import LightningModule, Trainer
from torchmetrics.classification import MulticlassCalibrationError

from ...core.checks import whole_number
from ...core.dynamics import Dynamics
from ...metrics import LatencyToDecision
from ..classification import Judged
from .judgement import Judgement


class Decisions(Judgement):
    r"""Logs whether a network is as often right as it is sure, and when it has decided.

    Tags: ``calibration_error/<val or test>``: the expected calibration error of the softmax of the logits,
    :math:`\sum_b \frac{n_b}{n} |accuracy_b - confidence_b|` over bins b of equal width (Guo et al., 2017, ICML);
    ``latency_ms/<val or test>``: the mean time from which on the decision is the last one, see
    :class:`~torchdyn_neuro.metrics.LatencyToDecision`.

    Args:
        bins: number of bins of the confidence.
    """

    def __init__(self, bins: int = 15):
        super().__init__()
        self.bins = whole_number("Decisions", "bins", bins, 1)
        self.calibration: MulticlassCalibrationError | None = None
        self.latency: LatencyToDecision | None = None

    def begin(self, task: LightningModule, stage: str) -> None:
        dt = next((module.dt for module in task.model.modules() if isinstance(module, Dynamics)), 1.0)
        self.calibration = MulticlassCalibrationError(task.classes, n_bins=self.bins, norm="l1").to(task.device)
        self.latency = LatencyToDecision(task.loss.decoder, dt=dt).to(task.device)

    def see(self, judged: Judged) -> None:
        self.calibration.update(judged.decoded.float().softmax(1), judged.labels)
        self.latency.update(judged.y, judged.lengths)

    def end(self, trainer: Trainer, task: LightningModule, stage: str) -> None:
        task.log(f"calibration_error/{stage}", self.calibration.compute(), sync_dist=True)
        task.log(f"latency_ms/{stage}", self.latency.compute(), sync_dist=True)
