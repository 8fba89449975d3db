"""Exact integration of linear equations."""

from dataclasses import dataclass
from typing import ClassVar

from ..core.integrator import Drive, Integrator
from ..core.ode import ODE
from ..core.state import State


@dataclass(frozen=True)
class Exact(Integrator):
    r"""The exact solution over a step under a constant input, for equations that define it as ``flow``.

    .. math:: s(t + dt) = e^{A\, dt} s + A^{-1} (e^{A\, dt} - 1)\, b(x)

    Args:
        substeps: number of equal steps into which a time step is divided; it changes nothing but rounding.

    Raises:
        ValueError: by the equation that gets it, if that does not define ``flow``.

    Source: Rotter & Diesmann (1999), Biol. Cybern. 81:381.
    """

    order: ClassVar[int] = 1
    explicit: ClassVar[bool] = False

    def advance(self, ode, x: Drive, state: State, dt: float) -> State:
        return ode.flow(x(0.0), state, dt)

    def check(self, ode: ODE) -> None:
        if type(ode).flow is ODE.flow:
            raise ValueError(
                f"{type(ode).__name__}: expected an equation with a known exact solution (a method flow) for Exact, "
                "got none; use ExponentialEuler() or RK4()"
            )
