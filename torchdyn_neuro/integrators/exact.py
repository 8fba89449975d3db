"""Exact integration of linear equations."""

from dataclasses import dataclass

from torch import Tensor

from ..core.ode import ODE
from ..core.state import State
from .exponential_euler import ExponentialEuler


@dataclass(frozen=True)
class Exact(ExponentialEuler):
    r"""The exact solution over a step under a constant input, for equations that define it as ``flow``.

    .. math:: s(t + dt) = e^{A\, dt} s + A^{-1} (e^{A\, dt} - 1)\, b(x)

    What attaches is solved as in :class:`ExponentialEuler`.

    Args:
        substeps: number of equal steps into which a time step is divided; it changes nothing but rounding.

    Raises:
        ValueError: by the equation that gets it, if that does not define ``flow``.

    Source: Rotter & Diesmann (1999), Biol. Cybern. 81:381.
    """

    def advance(self, ode: ODE, x: State, state: State, dt: float | Tensor) -> State:
        return ode.flow(x, state, dt)

    def check_equation(self, ode: ODE) -> None:
        if ode.flow is None:
            raise ValueError(
                f"{type(ode).__name__}: expected an equation with a known exact solution (a method flow) for Exact, "
                "got none; use ExponentialEuler() or RK4()"
            )
