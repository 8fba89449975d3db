"""Synapses. One equation, one file."""

from .alpha import AlphaSynapse, AlphaSynapseState
from .conductance import ConductanceSynapse, ConductanceSynapseState
from .delay import Delay
from .delay_line import DelayLine, DelayState, DelayTime
from .double_exponential import DoubleExponentialSynapse, DoubleExponentialSynapseState
from .exponential import ExponentialSynapse, ExponentialSynapseState
from .receptors import AMPA, GABA_A, GABA_B, NMDA, Receptor, ReceptorSet, magnesium_block

__all__ = [
    "AMPA",
    "GABA_A",
    "GABA_B",
    "NMDA",
    "AlphaSynapse",
    "AlphaSynapseState",
    "ConductanceSynapse",
    "ConductanceSynapseState",
    "Delay",
    "DelayLine",
    "DelayState",
    "DelayTime",
    "DoubleExponentialSynapse",
    "DoubleExponentialSynapseState",
    "ExponentialSynapse",
    "ExponentialSynapseState",
    "Receptor",
    "ReceptorSet",
    "magnesium_block",
]
