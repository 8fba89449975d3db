"""Plasticity. One rule, one file."""

from .bcm import BCM
from .covariance import Covariance, CovarianceTraces
from .hebbian import Hebbian
from .oja import Oja
from .rules import Rules
from .sanger import Sanger
from .synaptic_scaling import SynapticScaling
from .tsodyks_markram import TsodyksMarkram, TsodyksMarkramState
from .weight_normalization import WeightNormalization

__all__ = [
    "BCM",
    "Covariance",
    "CovarianceTraces",
    "Hebbian",
    "Oja",
    "Rules",
    "Sanger",
    "SynapticScaling",
    "TsodyksMarkram",
    "TsodyksMarkramState",
    "WeightNormalization",
]
