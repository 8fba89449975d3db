"""Synapses. One equation, one file."""

from .exponential import ExponentialSynapse, ExponentialSynapseState
from .receptors import AMPA, GABA_A, GABA_B, NMDA, Receptor, ReceptorSet, magnesium_block

__all__ = [
    "AMPA",
    "GABA_A",
    "GABA_B",
    "NMDA",
    "ExponentialSynapse",
    "ExponentialSynapseState",
    "Receptor",
    "ReceptorSet",
    "magnesium_block",
]
