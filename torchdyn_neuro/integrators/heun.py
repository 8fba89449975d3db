"""Heun's method."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.integrator import Drive, ExplicitIntegrator, shift
from ..core.ode import ODE
from ..core.state import State, map_state


@dataclass(frozen=True)
class Heun(ExplicitIntegrator):
    r"""Heun's method (explicit trapezoid), second order.

    .. math:: s(t + dt) = s + \tfrac{dt}{2} (k_1 + k_2), \quad k_1 = f(x_0, s), \quad k_2 = f(x_1, s + dt\, k_1)

    Args:
        substeps: number of equal steps into which a time step is divided.

    Source: Hairer, Norsett & Wanner (1993), Solving Ordinary Differential Equations I, ch. II.1.
    """

    order: ClassVar[int] = 2

    def advance(self, ode: ODE, x: Drive, state: State, dt: float | Tensor) -> State:
        start = ode.vector_field(x(0.0, state), state)
        there = shift(state, start, dt)
        end = ode.vector_field(x(1.0, there), there)
        return shift(state, map_state(lambda a, b: a + b, start, end), dt / 2)
