"""The explicit midpoint method."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.integrator import Drive, ExplicitIntegrator, shift
from ..core.ode import ODE
from ..core.state import State


@dataclass(frozen=True)
class Midpoint(ExplicitIntegrator):
    r"""Explicit midpoint method, second order.

    .. math:: s(t + dt) = s + dt\, f(x_{1/2}, s + \tfrac{dt}{2} f(x_0, s))

    Args:
        substeps: number of equal steps into which a time step is divided.

    Source: Hairer, Norsett & Wanner (1993), Solving Ordinary Differential Equations I, ch. II.1.
    """

    order: ClassVar[int] = 2

    def advance(self, ode: ODE, x: Drive, state: State, dt: float | Tensor) -> State:
        middle = shift(state, ode.vector_field(x(0.0, state), state), dt / 2)
        return shift(state, ode.vector_field(x(0.5, middle), middle), dt)
