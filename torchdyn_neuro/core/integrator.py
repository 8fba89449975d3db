"""What an integrator is: one step of a differential equation."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from .checks import positive_number
from .state import State, map_state

if TYPE_CHECKING:
    from .ode import ODE

Drive = Callable[[float], State]
"""The input as a function of the time within the step, from 0 (its start) to 1 (its end)."""


@dataclass(frozen=True)
class Integrator(ABC):
    """Base of the integrators: advances an :class:`ODE` by one time step.

    A subclass writes :meth:`advance`. Integrators hold no state and may be shared between modules.

    Args:
        substeps: number of equal steps into which a time step is divided, for stiff equations.
        interpolate: where a cell spikes, find the moment in the step at which the potential crossed the threshold,
            reset the cell there, and integrate what is left of the step, at three times the work. Spike times then
            converge with the order of the method (second order at most under a threshold that moves); on the grid
            alone each interval is rounded up to a step, whatever the method.

    Raises:
        ValueError: if ``substeps`` is not above zero.
        TypeError: if ``substeps`` is not a whole number.
    """

    substeps: int = 1
    interpolate: bool = False

    order: ClassVar[int]
    """Order of convergence: the error over a fixed time falls as dt to this power."""
    explicit: ClassVar[bool] = True
    """Whether a step that is long against a time constant is unstable."""
    stochastic: ClassVar[bool] = False
    """Whether a step takes random numbers beside the input."""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        positive_number(owner, "substeps", self.substeps)
        if not isinstance(self.substeps, int):
            raise TypeError(f"{owner}: expected substeps to be a whole number, got {self.substeps}; pass an int")

    def __call__(self, ode: "ODE", x: State | Drive, state: State, dt: float) -> State:
        """The state ``dt`` later.

        Args:
            ode: the equation.
            x: the input, held over the step; or a function of the time within the step (0 to 1), which a
                Runge-Kutta method needs to keep its order under an input that changes.
            state: the state at the start of the step.
            dt: length of the step, ms.
        """
        return self.path(ode, x, state, dt)[-1]

    def path(self, ode: "ODE", x: State | Drive, state: State, dt: float) -> list[State]:
        """The states after each of the substeps; arguments as above."""
        states = []
        for k in range(self.substeps):
            state = self.advance(ode, self._within(x, k), state, dt / self.substeps)
            states.append(state)
        return states

    def _within(self, x: State | Drive, substep: int) -> Drive:
        if callable(x) and not isinstance(x, Tensor):
            return lambda fraction: x((substep + fraction) / self.substeps)
        return lambda fraction: x

    @abstractmethod
    def advance(self, ode: "ODE", x: Drive, state: State, dt: float) -> State:
        """One step of length ``dt``."""

    def check(self, ode: "ODE") -> None:
        """Raise ``ValueError`` if ``ode`` lacks what this integrator needs; most need nothing special."""
        return


def shift(state: State, change: State, scale: float) -> State:
    """``state + scale * change``; a field that ``change`` leaves ``()`` stays as it is."""
    return map_state(lambda leaf, slope: leaf + scale * slope, state, change)
