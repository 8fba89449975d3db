"""Neurons. One equation, one file."""

from . import channels
from .channels import *  # noqa: F403
from .conductance_lif import ConductanceLIF, ConductanceLIFState
from .hodgkin_huxley import HodgkinHuxley, HodgkinHuxleyState
from .integrate_and_fire import IF, IFState
from .leaky_integrator import LeakyIntegrator, LeakyIntegratorState
from .lif import LIF, LIFState
from .synaptic_lif import SynapticLIF, SynapticLIFState
from .two_compartment import TwoCompartment, TwoCompartmentInput, TwoCompartmentState

__all__ = [
    *channels.__all__,
    "IF",
    "LIF",
    "ConductanceLIF",
    "ConductanceLIFState",
    "HodgkinHuxley",
    "HodgkinHuxleyState",
    "IFState",
    "LIFState",
    "LeakyIntegrator",
    "LeakyIntegratorState",
    "SynapticLIF",
    "SynapticLIFState",
    "TwoCompartment",
    "TwoCompartmentInput",
    "TwoCompartmentState",
]
