"""Losses of classification: from outputs over time [T, B, C] and labels [B] to a scalar."""

from .cross_entropy import MembraneCrossEntropy, RateCrossEntropy

__all__ = ["MembraneCrossEntropy", "RateCrossEntropy"]
