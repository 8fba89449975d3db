"""Neurons. One equation, one file."""

from . import channels
from .adaptive_lif import AdaptiveLIF
from .adex import AdEx, AdExState
from .adlif import AdLIF
from .alif import ALIF
from .alpha_lif import AlphaLIF, AlphaLIFState
from .balanced_resonate_and_fire import BalancedResonateAndFire, BalancedResonateAndFireState
from .channels import *  # noqa: F403
from .conductance_lif import ConductanceLIF, ConductanceLIFState
from .escape_lif import EscapeLIF
from .exponential import EIF, EIFState
from .glif import GLIF, GLIFState
from .hodgkin_huxley import HodgkinHuxley, HodgkinHuxleyState
from .integrate_and_fire import IF, IFState
from .izhikevich import Izhikevich, IzhikevichState
from .leaky_integrator import LeakyIntegrator, LeakyIntegratorState
from .lif import LIF, LIFState
from .parallel_lif import ParallelLIF
from .parametric_lif import ParametricLIF
from .presets import IZHIKEVICH_2003, NAUD_2008
from .quadratic import QIF, QIFState
from .resonate_and_fire import ResonateAndFire, ResonateAndFireState
from .synaptic_lif import SynapticLIF, SynapticLIFState
from .two_compartment import TwoCompartment, TwoCompartmentInput, TwoCompartmentState
from .two_synapse_lif import TwoSynapseLIF, TwoSynapseLIFState

__all__ = [
    *channels.__all__,
    "EIF",
    "GLIF",
    "IF",
    "IZHIKEVICH_2003",
    "LIF",
    "ConductanceLIF",
    "ConductanceLIFState",
    "HodgkinHuxley",
    "HodgkinHuxleyState",
    "ALIF",
    "AdLIF",
    "AdaptiveLIF",
    "AlphaLIF",
    "AlphaLIFState",
    "BalancedResonateAndFire",
    "BalancedResonateAndFireState",
    "EscapeLIF",
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
    "ParallelLIF",
    "ParametricLIF",
    "ResonateAndFire",
    "ResonateAndFireState",
    "QIFState",
    "SynapticLIF",
    "SynapticLIFState",
    "TwoCompartment",
    "TwoCompartmentInput",
    "TwoCompartmentState",
    "TwoSynapseLIF",
    "TwoSynapseLIFState",
]
