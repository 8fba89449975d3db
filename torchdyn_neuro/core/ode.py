"""Differential equations as dynamics: the derivative is written once, the integrator is an argument."""

import warnings

from torch import Tensor

from .dynamics import Dynamics
from .integrator import Integrator
from .quantities import Constrained
from .randomness import Draw, Noisy
from .state import State, first_leaf, map_state, widen


class ODE(Dynamics):
    r"""Base of the equations :math:`\dot s = f(x, s)`, stepped by an integrator.

    A subclass writes :meth:`derivative`, or :meth:`relaxation` where the equation reads
    :math:`\tau \dot s = s_\infty - s` (the derivative follows from it), or both; :meth:`flow` where the exact solution
    over a step is known; :meth:`diffusion` where noise enters. The output is :meth:`observe`.

    Args:
        integrator: how a step is taken.
        dt: time step, ms.

    Raises:
        ValueError: if the integrator needs what the equation does not define; if it is explicit and the step is
            at least twice a time constant (more than half of one warns).
    """

    def __init__(self, *, integrator: Integrator, dt: float = 1.0):
        super().__init__(dt=dt)
        if not isinstance(integrator, Integrator):
            raise TypeError(
                f"{type(self).__name__}: expected an integrator such as Euler(), got {integrator!r}; pass an instance"
            )
        integrator.check(self)
        self.integrator = integrator

    def derivative(self, x_t: State, state: State) -> State:
        """The rate of change per ms, as a state; fields that do not flow are ``None``."""
        target, tau = self.relaxation(x_t, state)
        return map_state(lambda goal, value, constant: (goal - value) / constant, target, state, tau)

    def relaxation(self, x_t: State, state: State) -> tuple[State, State]:
        """The state towards which each field relaxes and its time constant in ms, fields ``None`` where none."""
        raise NotImplementedError(f"{type(self).__name__} does not define relaxation(x_t, state)")

    def flow(self, x_t: State, state: State, dt: float) -> State:
        """The exact solution ``dt`` later under a constant input."""
        raise NotImplementedError(f"{type(self).__name__} does not define flow(x_t, state, dt)")

    def diffusion(self, x_t: State, state: State) -> State:
        """The amplitude of white noise on each field, per sqrt(ms); fields without noise are ``None``."""
        raise NotImplementedError(f"{type(self).__name__} does not define diffusion(x_t, state)")

    def observe(self, state: State) -> State:
        """What the equation puts out: the first field, unless a subclass says otherwise."""
        return first_leaf(state)

    def drift(self, x_t: State, state: State) -> State:
        """The derivative as integrators see it; spiking cells stop the potential here while refractory."""
        return self.derivative(x_t, state)

    def pull(self, x_t: State, state: State) -> tuple[State, State]:
        """The relaxation as integrators see it."""
        return self.relaxation(x_t, state)

    def step(self, x_t: State, state: State) -> tuple[State, State]:
        x_t = self.with_noise(x_t)
        state = self.integrator(self, widen(x_t), state, self.dt)
        dtype = first_leaf(x_t).dtype
        return map_state(lambda leaf: leaf.to(dtype), self.observe(state)), state

    @property
    def draws(self) -> bool:
        return self.integrator.stochastic

    def random_numbers(self, x_t: State) -> Noisy | None:
        if not self.integrator.stochastic:
            return None
        state = self.initial_state(x_t)
        amplitudes = self.diffusion(widen(x_t), state)
        return Noisy(None, normal=map_state(lambda _, leaf: Draw.normal(leaf), amplitudes, state))

    def accept(self, name: str, quantity: Constrained) -> None:
        if _is_time_constant(name):
            self._check_time_constant(name, quantity.start)

    def change_dt(self, dt: float) -> None:
        super().change_dt(dt)
        self.check_stability()

    def check_stability(self) -> None:
        """Raise if learning has moved a time constant below half the step of an explicit integrator."""
        for name, quantity in self.quantities():
            if _is_time_constant(name):
                self._check_time_constant(name, quantity().detach())

    def _check_time_constant(self, name: str, tau: Tensor) -> None:
        if not self.integrator.explicit:
            return
        owner, method = type(self).__name__, type(self.integrator).__name__
        step, shortest = self.dt / self.integrator.substeps, tau.min().item()
        advice = "lower dt, raise substeps, or use ExponentialEuler() where the equation allows it"
        if step >= 2 * shortest:
            raise ValueError(
                f"{owner}: expected a step below twice {name} for {method}, which is unstable beyond, got a step of "
                f"{step:g} ms for {name} = {shortest:g} ms; {advice}"
            )
        if step > shortest / 2:
            warnings.warn(
                f"{owner}: a step of {step:g} ms is long for {method} with {name} = {shortest:g} ms; {advice}",
                stacklevel=5,  # the line that builds the cell
            )


def _is_time_constant(name: str) -> bool:
    # The memory of an attached noise is solved exactly, whatever the integrator.
    return name.rpartition(".")[2].startswith("tau") and not name.startswith("noise.")
