"""Rate models: units, networks, circuits, and the activations ``tdn.rates.Sigmoid``, ... that they are built with."""

from .activations import *  # noqa: F403
from .ctrnn import CTRNN
from .ctrnn_unit import CTRNNState, CTRNNUnit
from .rate_network import RateNetwork
from .rate_unit import RateState, RateUnit

__all__ = [
    "CTRNN",
    "CTRNNState",
    "CTRNNUnit",
    "RateNetwork",
    "RateState",
    "RateUnit",
]
"""Without the activations, whose names stand in this namespace only: ``tdn.Sigmoid`` is a surrogate."""
