"""The classical Runge-Kutta method."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.integrator import Drive, ExplicitIntegrator, shift
from ..core.ode import ODE
from ..core.state import State, map_state


@dataclass(frozen=True)
class RK4(ExplicitIntegrator):
    r"""The classical Runge-Kutta method, fourth order.

    .. math:: s(t + dt) = s + \tfrac{dt}{6} (k_1 + 2 k_2 + 2 k_3 + k_4)

    An input held over the step caps the order at one when the input changes; ``scan(x, input="linear")`` lets it go
    from frame to frame in a straight line.

    Args:
        substeps: number of equal steps into which a time step is divided.

    Source: Hairer, Norsett & Wanner (1993), Solving Ordinary Differential Equations I, ch. II.1.
    """

    order: ClassVar[int] = 4

    def advance(self, ode: ODE, x: Drive, state: State, dt: float | Tensor) -> State:
        k1 = ode.vector_field(x(0.0, state), state)
        second = shift(state, k1, dt / 2)
        k2 = ode.vector_field(x(0.5, second), second)
        third = shift(state, k2, dt / 2)
        k3 = ode.vector_field(x(0.5, third), third)
        last = shift(state, k3, dt)
        k4 = ode.vector_field(x(1.0, last), last)
        return shift(state, map_state(lambda a, b, c, d: a + 2 * (b + c) + d, k1, k2, k3, k4), dt / 6)
