"""What to know of a network beside its accuracy: what an inference costs, how soon it has decided.

Accuracy, confusion matrix and calibration error are those of ``torchmetrics``; the callbacks of training log them all.
"""

from .efficiency import (
    ACCUMULATE,
    MULTIPLY_ACCUMULATE,
    EfficiencyCounter,
    EfficiencyReport,
    LayerCost,
    efficiency_report,
)
from .latency import LatencyToDecision, decision_steps

__all__ = [
    "ACCUMULATE",
    "MULTIPLY_ACCUMULATE",
    "EfficiencyCounter",
    "EfficiencyReport",
    "LatencyToDecision",
    "LayerCost",
    "decision_steps",
    "efficiency_report",
]
