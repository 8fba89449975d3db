"""Integrators: how an equation takes a step. One method, one file."""

from .euler import Euler
from .euler_maruyama import EulerMaruyama
from .exact import Exact
from .exponential_euler import ExponentialEuler
from .heun import Heun
from .midpoint import Midpoint
from .rk4 import RK4

__all__ = ["RK4", "Euler", "EulerMaruyama", "Exact", "ExponentialEuler", "Heun", "Midpoint"]
