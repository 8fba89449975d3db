"""Synapses. One equation, one file."""

from .exponential import ExponentialSynapse, ExponentialSynapseState

__all__ = ["ExponentialSynapse", "ExponentialSynapseState"]
