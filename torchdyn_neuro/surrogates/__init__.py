"""Surrogate gradients: the slope that stands for a spike's in the backward pass. One function, one file."""

from .atan import ATan
from .custom import CustomSurrogate
from .damped import Damped
from .fast_sigmoid import FastSigmoid
from .gaussian import Gaussian
from .piecewise_exponential import PiecewiseExponential
from .rectangular import Rectangular
from .sigmoid import Sigmoid
from .straight_through import StraightThrough
from .triangular import Triangular

__all__ = [
    "ATan",
    "CustomSurrogate",
    "Damped",
    "FastSigmoid",
    "Gaussian",
    "PiecewiseExponential",
    "Rectangular",
    "Sigmoid",
    "StraightThrough",
    "Triangular",
]
