"""Decoders: from the output of a network over time [T, B, C] to logits [B, C]."""

from .first_spike import FirstSpike
from .membrane import LastMembrane, MaxMembrane, MeanMembrane
from .ridge_readout import ridge_readout
from .softmax_membrane import SoftmaxMembrane
from .spike_count import SpikeCount
from .spike_rate import SpikeRate

__all__ = [
    "FirstSpike",
    "LastMembrane",
    "MaxMembrane",
    "MeanMembrane",
    "SoftmaxMembrane",
    "SpikeCount",
    "SpikeRate",
    "ridge_readout",
]
