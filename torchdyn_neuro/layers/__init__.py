"""Layers of deep spiking networks: norms, dropout, blocks, populations. One layer, one file."""

from .adlif_population import AdLIFPopulation
from .alif_population import ALIFPopulation
from .batch_norm_through_time import BatchNormThroughTime
from .in_order import InOrder
from .lif_population import LIFPopulation
from .ms_block import MSBlock
from .population import Population
from .position_block import PositionBlock
from .recurrent_block import RecurrentBlock
from .sew_block import SEWBlock
from .spikformer_block import SpikformerBlock
from .spiking_dropout import SpikingDropout
from .spiking_max_pool import SpikingMaxPool2d
from .spiking_self_attention import SpikingSelfAttention
from .temporal_effective_batch_norm import TemporalEffectiveBatchNorm
from .threshold_batch_norm import ThresholdBatchNorm
from .token_layer import TokenLayer

__all__ = [
    "ALIFPopulation",
    "AdLIFPopulation",
    "BatchNormThroughTime",
    "InOrder",
    "LIFPopulation",
    "MSBlock",
    "Population",
    "PositionBlock",
    "RecurrentBlock",
    "SEWBlock",
    "SpikformerBlock",
    "SpikingDropout",
    "SpikingMaxPool2d",
    "SpikingSelfAttention",
    "TemporalEffectiveBatchNorm",
    "ThresholdBatchNorm",
    "TokenLayer",
]
