"""Rate models: units, networks, circuits, and the activations ``tdn.rates.Sigmoid``, ... that they are built with."""

from .activations import *  # noqa: F403
from .ctrnn import CTRNN
from .ctrnn_unit import CTRNNState, CTRNNUnit
from .divisive_normalization import DivisiveNormalization, DivisiveNormalizationState
from .echo_state import EchoState
from .ei_network import EINetwork
from .gating_unit import GatingState, GatingUnit
from .k_winners_take_all import KWinnersTakeAll, KWinnersTakeAllState
from .microcircuit import Microcircuit, MicrocircuitState
from .odeint import odeint
from .rate_network import RateNetwork
from .rate_unit import RateState, RateUnit
from .wilson_cowan import WilsonCowan, WilsonCowanState
from .winner_take_all import WinnerTakeAll
from .wong_wang import WongWang

__all__ = [
    "CTRNN",
    "CTRNNState",
    "CTRNNUnit",
    "DivisiveNormalization",
    "DivisiveNormalizationState",
    "EINetwork",
    "EchoState",
    "GatingState",
    "GatingUnit",
    "KWinnersTakeAll",
    "KWinnersTakeAllState",
    "Microcircuit",
    "MicrocircuitState",
    "RateNetwork",
    "RateState",
    "RateUnit",
    "WilsonCowan",
    "WilsonCowanState",
    "WinnerTakeAll",
    "WongWang",
    "odeint",
]
"""Without the activations, whose names stand in this namespace only: ``tdn.Sigmoid`` is a surrogate."""
