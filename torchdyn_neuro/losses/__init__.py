"""Losses: from outputs over time [T, B, C] and labels [B], or targets, to a scalar; prices on spikes to add to them."""

from .activity import ActivityPenalty, watching
from .cross_entropy import MembraneCrossEntropy, RateCrossEntropy
from .decoded import DecodedLoss
from .every_step import EveryStep
from .first_spike_cross_entropy import FirstSpikeCrossEntropy
from .rate_bounds import RateBounds
from .rate_mse import RateMSE
from .spike_sparsity import SpikeSparsity
from .tet import TET
from .van_rossum import VanRossumDistance

__all__ = [
    "TET",
    "ActivityPenalty",
    "DecodedLoss",
    "EveryStep",
    "FirstSpikeCrossEntropy",
    "MembraneCrossEntropy",
    "RateBounds",
    "RateCrossEntropy",
    "RateMSE",
    "SpikeSparsity",
    "VanRossumDistance",
    "watching",
]
