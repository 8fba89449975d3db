"""The classical Runge-Kutta method."""

from dataclasses import dataclass
from typing import ClassVar

from ..core.integrator import Drive, Integrator, shift
from ..core.state import State, map_state


@dataclass(frozen=True)
class RK4(Integrator):
    r"""The classical Runge-Kutta method, fourth order.

    .. math:: s(t + dt) = s + \tfrac{dt}{6} (k_1 + 2 k_2 + 2 k_3 + k_4)

    An input held over the step caps the order at one when the input changes; give it as a function of the time within
    the step to keep the order.

    Args:
        substeps: number of equal steps into which a time step is divided.

    Source: Hairer, Norsett & Wanner (1993), Solving Ordinary Differential Equations I, ch. II.1.
    """

    order: ClassVar[int] = 4

    def advance(self, ode, x: Drive, state: State, dt: float) -> State:
        k1 = ode.drift(x(0.0), state)
        k2 = ode.drift(x(0.5), shift(state, k1, dt / 2))
        k3 = ode.drift(x(0.5), shift(state, k2, dt / 2))
        k4 = ode.drift(x(1.0), shift(state, k3, dt))
        return shift(state, map_state(lambda a, b, c, d: a + 2 * (b + c) + d, k1, k2, k3, k4), dt / 6)
