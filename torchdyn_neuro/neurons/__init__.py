"""Neurons. One equation, one file."""

from .adex import AdEx, AdExState
from .exponential import EIF, EIFState
from .glif import GLIF, GLIFState
from .integrate_and_fire import IF, IFState
from .izhikevich import Izhikevich, IzhikevichState
from .leaky_integrator import LeakyIntegrator, LeakyIntegratorState
from .lif import LIF, LIFState
from .presets import IZHIKEVICH_2003, NAUD_2008
from .quadratic import QIF, QIFState
from .synaptic_lif import SynapticLIF, SynapticLIFState

__all__ = [
    "EIF",
    "GLIF",
    "IF",
    "IZHIKEVICH_2003",
    "LIF",
    "NAUD_2008",
    "QIF",
    "AdEx",
    "AdExState",
    "EIFState",
    "GLIFState",
    "IFState",
    "Izhikevich",
    "IzhikevichState",
    "LIFState",
    "LeakyIntegrator",
    "LeakyIntegratorState",
    "QIFState",
    "SynapticLIF",
    "SynapticLIFState",
]
