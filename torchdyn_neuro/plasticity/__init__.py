"""Plasticity. One rule, one file."""

from .hebbian import Hebbian
from .inhibitory_stdp import InhibitorySTDP
from .pair_stdp import PairSTDP
from .presets import PFISTER_2006
from .reward_stdp import RewardState, RewardSTDP
from .spike_timing import PairTraces, SpikeTiming, SpikeTimingState
from .triplet_rate import TripletRate
from .triplet_stdp import TripletSTDP, TripletTraces
from .tsodyks_markram import TsodyksMarkram, TsodyksMarkramState
from .voltage_stdp import VoltageSTDP, VoltageTraces

__all__ = [
    "PFISTER_2006",
    "Hebbian",
    "InhibitorySTDP",
    "PairSTDP",
    "PairTraces",
    "RewardSTDP",
    "RewardState",
    "SpikeTiming",
    "SpikeTimingState",
    "TripletRate",
    "TripletSTDP",
    "TripletTraces",
    "TsodyksMarkram",
    "TsodyksMarkramState",
    "VoltageSTDP",
    "VoltageTraces",
]
