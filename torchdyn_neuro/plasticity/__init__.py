"""Plasticity. One rule, one file."""

from .bcm import BCM
from .covariance import Covariance, CovarianceTraces
from .hebbian import Hebbian
from .inhibitory_stdp import InhibitorySTDP
from .oja import Oja
from .pair_stdp import PairSTDP
from .presets import PFISTER_2006
from .reward_stdp import RewardState, RewardSTDP
from .rules import Rules
from .sanger import Sanger
from .spike_timing import PairTraces, SpikeTiming, SpikeTimingState
from .synaptic_scaling import SynapticScaling
from .triplet_rate import TripletRate
from .triplet_stdp import TripletSTDP, TripletTraces
from .tsodyks_markram import TsodyksMarkram, TsodyksMarkramState
from .voltage_stdp import VoltageSTDP, VoltageTraces
from .weight_normalization import WeightNormalization

__all__ = [
    "BCM",
    "PFISTER_2006",
    "Covariance",
    "CovarianceTraces",
    "Hebbian",
    "InhibitorySTDP",
    "Oja",
    "PairSTDP",
    "PairTraces",
    "RewardSTDP",
    "RewardState",
    "Rules",
    "Sanger",
    "SpikeTiming",
    "SpikeTimingState",
    "SynapticScaling",
    "TripletRate",
    "TripletSTDP",
    "TripletTraces",
    "TsodyksMarkram",
    "TsodyksMarkramState",
    "VoltageSTDP",
    "VoltageTraces",
    "WeightNormalization",
]
