"""The exponential Euler method."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..core.integrator import Drive, Integrator
from ..core.ode import ODE
from ..core.state import State, map_state


@dataclass(frozen=True)
class ExponentialEuler(Integrator):
    r"""Exponential Euler: exact for linear relaxation under a constant input, first order otherwise, never unstable.

    .. math:: s(t + dt) = s_\infty + (s - s_\infty) e^{-dt / \tau}

    Args:
        substeps: number of equal steps into which a time step is divided.

    Raises:
        ValueError: by the equation that gets it, if that does not define ``relaxation``.

    Source: Rush & Larsen (1978), IEEE Trans. Biomed. Eng. 25:389; Hochbruck & Ostermann (2010), Acta Numerica 19:209.
    """

    order: ClassVar[int] = 1
    explicit: ClassVar[bool] = False

    def advance(self, ode, x: Drive, state: State, dt: float) -> State:
        target, tau = ode.pull(x(0.0), state)
        return map_state(
            lambda value, goal, constant: goal + (value - goal) * torch.exp(-dt / constant), state, target, tau
        )

    def check(self, ode: ODE) -> None:
        if type(ode).relaxation is ODE.relaxation:
            raise ValueError(
                f"{type(ode).__name__}: expected an equation tau ds/dt = s_inf - s (a method relaxation) for "
                "ExponentialEuler, got only a derivative; use Euler(), Heun(), Midpoint() or RK4()"
            )
