"""What an integrator is: one step of a differential equation."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from .checks import positive_number, warn
from .quantities import readable
from .repeat import repeat
from .state import State, map_state

if TYPE_CHECKING:
    from .ode import ODE

Drive = Callable[[float, State], State]
"""The input at a moment of the step, from 0 (its start) to 1 (its end), and the state there."""


@dataclass(frozen=True)
class Integrator(ABC):
    """Base of the integrators: advances an :class:`ODE` by one time step.

    The integrator alone decides how the equation, and the terms that attach to it, are solved over a step: see
    :class:`ExplicitIntegrator` and ``ExponentialEuler``. Integrators hold no state and may be shared between modules.

    Args:
        substeps: number of equal steps into which a time step is divided, for stiff equations.

    Raises:
        ValueError: if ``substeps`` is not above zero.
        TypeError: if ``substeps`` is not a whole number.
    """

    substeps: int = 1

    order: ClassVar[int]
    """Order of convergence: the error over a fixed time falls as dt to this power."""
    crossings: ClassVar[bool] = False
    """Whether it finds the moment of a spike within the step, by a method ``cross``."""
    draws: ClassVar[bool] = False
    """Whether a step takes random numbers of its own."""

    def __post_init__(self) -> None:
        owner = type(self).__name__
        positive_number(owner, "substeps", self.substeps)
        if not isinstance(self.substeps, int):
            raise TypeError(f"{owner}: expected substeps to be a whole number, got {self.substeps}; pass an int")

    def __call__(self, ode: "ODE", x: State | Drive, state: State, dt: float) -> State:
        """The state ``dt`` later.

        Args:
            ode: the equation.
            x: the input, held over the step; or a function ``(fraction, state)`` of the time within the step (0 to 1)
                and of the state there, as a coupling or an input that changes gives it.
            state: the state at the start of the step.
            dt: length of the step, ms.
        """
        return self.path(ode, x, state, dt)[-1]

    @abstractmethod
    def path(self, ode: "ODE", x: State | Drive, state: State, dt: float | Tensor) -> list[State]:
        """The states after each of the substeps, the last one with all that the terms do; arguments as above."""

    def start(self, ode: "ODE", x_t: State) -> dict[str, State]:
        """What the method itself keeps in the state, by field, at the start."""
        return {}

    def check_equation(self, ode: "ODE") -> None:
        """Raise ``ValueError`` if ``ode`` lacks what this integrator needs."""
        return

    def check(self, ode: "ODE") -> None:
        """Raise ``ValueError`` if ``ode`` lacks what this integrator needs, or a step is too long for it."""
        self.check_equation(ode)


class ExplicitIntegrator(Integrator):
    """Base of the Runge-Kutta methods: the right-hand side, terms included, is evaluated at stages.

    A term that is no differential equation (a noise) acts by the current that has its mean over the step. A subclass
    writes :meth:`advance`.
    """

    @abstractmethod
    def advance(self, ode: "ODE", x: Drive, state: State, dt: float | Tensor) -> State:
        """One step of length ``dt``."""

    def path(self, ode: "ODE", x: State | Drive, state: State, dt: float | Tensor) -> list[State]:
        states = self.walk(ode, x, ode.hold_terms(state, dt), dt)
        states[-1] = ode.release_terms(state, states[-1], dt)
        return states

    def walk(self, ode: "ODE", x: State | Drive, state: State, dt: float | Tensor) -> list[State]:
        """The states after each of the substeps, with the terms held as they are in ``state``."""
        if self.substeps > 1 and not callable(x) and isinstance(dt, float):
            step = dt / self.substeps
            return repeat(lambda x, state: self.advance(ode, within(x, 0, 1), state, step), x, state, self.substeps)
        states = []
        for k in range(self.substeps):
            state = self.advance(ode, within(x, k, self.substeps), state, dt / self.substeps)
            states.append(state)
        return states

    def check_equation(self, ode: "ODE") -> None:
        if ode.derivative is None and ode.relaxation is None:
            raise ValueError(
                f"{type(ode).__name__}: expected a differential equation (a method derivative or relaxation) for "
                f"{type(self).__name__}, got none; use its default integrator"
            )

    def check(self, ode: "ODE") -> None:
        super().check(ode)
        owner, method, step = type(ode).__name__, type(self).__name__, ode.dt / self.substeps
        advice = "lower dt, raise substeps, or use ExponentialEuler() where the equation allows it"
        if step > ode._longest_explicit_step * (1 + 1e-9):
            raise ValueError(
                f"{owner}: expected a step of at most {ode._longest_explicit_step:g} ms for {method}, which spikes "
                f"make unstable beyond, got {step:g} ms; {advice}"
            )
        for name, tau in ode.all_time_constants():
            if not readable(tau):
                continue
            shortest = tau.min().item()
            if step >= 2 * shortest:
                raise ValueError(
                    f"{owner}: expected a step below twice {name} for {method}, which is unstable beyond, got a step "
                    f"of {step:g} ms for {name} = {shortest:g} ms; {advice}"
                )
            if step > shortest / 2:
                warn(f"{owner}: a step of {step:g} ms is long for {method} with {name} = {shortest:g} ms; {advice}")


def within(x: State | Drive, substep: int, substeps: int) -> Drive:
    """The input of one of the substeps, as a function of the time within it."""
    if not callable(x):
        return lambda fraction, state: x
    return x if substeps == 1 else lambda fraction, state: x((substep + fraction) / substeps, state)


def shift(state: State, change: State, scale: float | Tensor) -> State:
    """``state + scale * change``; a field that ``change`` leaves ``()`` stays as it is."""
    return map_state(lambda leaf, slope: leaf + scale * slope, state, change)
