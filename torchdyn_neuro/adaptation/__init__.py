"""Adaptation that attaches to any spiking cell: ``LIF(adaptation=SpikeFrequencyAdaptation())``."""

from .adaptive_threshold import AdaptiveThreshold
from .spike_frequency import SpikeFrequencyAdaptation
from .sub_threshold import SubThresholdAdaptation
from .threshold_homeostasis import SharedThreshold, ThresholdHomeostasis

__all__ = [
    "AdaptiveThreshold",
    "SharedThreshold",
    "SpikeFrequencyAdaptation",
    "SubThresholdAdaptation",
    "ThresholdHomeostasis",
]
