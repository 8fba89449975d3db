"""Losses: from outputs over time [T, B, C] and labels [B], or targets, to a scalar."""

from .cross_entropy import MembraneCrossEntropy, RateCrossEntropy
from .decoded import DecodedLoss
from .every_step import EveryStep
from .first_spike_cross_entropy import FirstSpikeCrossEntropy
from .rate_mse import RateMSE
from .tet import TET
from .van_rossum import VanRossumDistance

__all__ = [
    "TET",
    "DecodedLoss",
    "EveryStep",
    "FirstSpikeCrossEntropy",
    "MembraneCrossEntropy",
    "RateCrossEntropy",
    "RateMSE",
    "VanRossumDistance",
]
