"""Decoders: from the output of a network over time [T, B, C] to logits [B, C]."""

from .membrane import LastMembrane, MaxMembrane, MeanMembrane
from .ridge_readout import ridge_readout
from .spike_count import SpikeCount

__all__ = ["LastMembrane", "MaxMembrane", "MeanMembrane", "SpikeCount", "ridge_readout"]
