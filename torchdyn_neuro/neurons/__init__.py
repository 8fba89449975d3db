"""Neurons. One equation, one file."""

from .integrate_and_fire import IF, IFState
from .leaky_integrator import LeakyIntegrator, LeakyIntegratorState
from .lif import LIF, LIFState
from .synaptic_lif import SynapticLIF, SynapticLIFState

__all__ = [
    "IF",
    "LIF",
    "IFState",
    "LIFState",
    "LeakyIntegrator",
    "LeakyIntegratorState",
    "SynapticLIF",
    "SynapticLIFState",
]
