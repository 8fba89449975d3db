"""Activations: the rate of a unit as a function of its input."""

from .abbott_chance import AbbottChance
from .activation import Activation
from .naka_rushton import NakaRushton
from .power_law import PowerLaw
from .saturation import Saturation
from .sigmoid import Sigmoid
from .softplus import Softplus
from .tanh import Tanh
from .threshold_linear import ThresholdLinear

__all__ = [
    "AbbottChance",
    "Activation",
    "NakaRushton",
    "PowerLaw",
    "Saturation",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "ThresholdLinear",
]
