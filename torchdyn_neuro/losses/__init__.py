"""Losses: from outputs over time [T, B, C] and labels [B], or targets, to a scalar."""

from .cross_entropy import MembraneCrossEntropy, RateCrossEntropy
from .decoded import DecodedLoss
from .every_step import EveryStep

__all__ = ["DecodedLoss", "EveryStep", "MembraneCrossEntropy", "RateCrossEntropy"]
