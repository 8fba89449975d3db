"""Heun's method."""

from dataclasses import dataclass
from typing import ClassVar

from ..core.integrator import Drive, Integrator, shift
from ..core.state import State, map_state


@dataclass(frozen=True)
class Heun(Integrator):
    r"""Heun's method (explicit trapezoid), second order.

    .. math:: s(t + dt) = s + \tfrac{dt}{2} (k_1 + k_2), \quad k_1 = f(x_0, s), \quad k_2 = f(x_1, s + dt\, k_1)

    Args:
        substeps: number of equal steps into which a time step is divided.

    Source: Hairer, Norsett & Wanner (1993), Solving Ordinary Differential Equations I, ch. II.1.
    """

    order: ClassVar[int] = 2

    def advance(self, ode, x: Drive, state: State, dt: float) -> State:
        start = ode.drift(x(0.0), state)
        end = ode.drift(x(1.0), shift(state, start, dt))
        return shift(state, map_state(lambda a, b: a + b, start, end), dt / 2)
