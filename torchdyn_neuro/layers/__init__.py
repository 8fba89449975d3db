"""Layers of deep spiking networks: norms, dropout, blocks. One layer, one file."""

from .adlif_population import AdLIFPopulation
from .alif_population import ALIFPopulation
from .batch_norm_through_time import BatchNormThroughTime
from .lif_population import LIFPopulation
from .population import Population
from .spiking_dropout import SpikingDropout
from .temporal_effective_batch_norm import TemporalEffectiveBatchNorm
from .threshold_batch_norm import ThresholdBatchNorm

__all__ = [
    "ALIFPopulation",
    "AdLIFPopulation",
    "BatchNormThroughTime",
    "LIFPopulation",
    "Population",
    "SpikingDropout",
    "TemporalEffectiveBatchNorm",
    "ThresholdBatchNorm",
]
