"""The explicit Euler method."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.integrator import Drive, ExplicitIntegrator, shift
from ..core.ode import ODE
from ..core.state import State


@dataclass(frozen=True)
class Euler(ExplicitIntegrator):
    r"""Explicit Euler, first order: :math:`s(t + dt) = s + dt f(x, s)`.

    Args:
        substeps: number of equal steps into which a time step is divided.

    Source: Hairer, Norsett & Wanner (1993), Solving Ordinary Differential Equations I, ch. II.1.
    """

    order: ClassVar[int] = 1

    def advance(self, ode: ODE, x: Drive, state: State, dt: float | Tensor) -> State:
        return shift(state, ode.vector_field(x(0.0, state), state), dt)
