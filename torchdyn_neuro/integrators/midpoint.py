"""The explicit midpoint method."""

from dataclasses import dataclass
from typing import ClassVar

from ..core.integrator import Drive, Integrator, shift
from ..core.state import State


@dataclass(frozen=True)
class Midpoint(Integrator):
    r"""Explicit midpoint method, second order.

    .. math:: s(t + dt) = s + dt\, f(x_{1/2}, s + \tfrac{dt}{2} f(x_0, s))

    Args:
        substeps: number of equal steps into which a time step is divided.

    Source: Hairer, Norsett & Wanner (1993), Solving Ordinary Differential Equations I, ch. II.1.
    """

    order: ClassVar[int] = 2

    def advance(self, ode, x: Drive, state: State, dt: float) -> State:
        middle = shift(state, ode.drift(x(0.0), state), dt / 2)
        return shift(state, ode.drift(x(0.5), middle), dt)
