"""Integrators: how an equation takes a step. One method, one file."""

from .euler import Euler
from .euler_maruyama import EulerMaruyama
from .exact import Exact
from .exponential_euler import ExponentialEuler
from .exponential_midpoint import ExponentialMidpoint
from .heun import Heun
from .interpolated import Interpolated, crossing_times
from .midpoint import Midpoint
from .rk4 import RK4

__all__ = [
    "RK4",
    "Euler",
    "EulerMaruyama",
    "Exact",
    "ExponentialEuler",
    "ExponentialMidpoint",
    "Heun",
    "Interpolated",
    "Midpoint",
    "crossing_times",
]
