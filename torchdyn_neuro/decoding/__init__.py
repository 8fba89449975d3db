"""Decoders: from the output of a network over time [T, B, C] to logits [B, C]."""

from .membrane import LastMembrane, MaxMembrane, MeanMembrane
from .spike_count import SpikeCount

__all__ = ["LastMembrane", "MaxMembrane", "MeanMembrane", "SpikeCount"]
