"""The explicit Euler method."""

from dataclasses import dataclass
from typing import ClassVar

from ..core.integrator import Drive, Integrator, shift
from ..core.state import State


@dataclass(frozen=True)
class Euler(Integrator):
    r"""Explicit Euler, first order: :math:`s(t + dt) = s + dt f(x, s)`.

    Args:
        substeps: number of equal steps into which a time step is divided.

    Source: Hairer, Norsett & Wanner (1993), Solving Ordinary Differential Equations I, ch. II.1.
    """

    order: ClassVar[int] = 1

    def advance(self, ode, x: Drive, state: State, dt: float) -> State:
        return shift(state, ode.drift(x(0.0), state), dt)
