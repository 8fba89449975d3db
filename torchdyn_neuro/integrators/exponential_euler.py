"""The exponential Euler method."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.integrator import Drive, Integrator
from ..core.ode import ODE
from ..core.repeat import repeat
from ..core.state import State, map_state


@dataclass(frozen=True)
class ExponentialEuler(Integrator):
    r"""Exponential Euler: exact for linear relaxation under a constant input, first order otherwise, never unstable.

    .. math:: s(t + dt) = s_\infty + (s - s_\infty) e^{-dt / \tau}

    The current of an adaptation or a noise is convolved with the leak of the membrane over the step,

    .. math:: v(t + dt) \mathrel{+}= g \int_0^{dt} I(u)\, e^{-(dt - u) / \tau} du

    exact for a linear membrane; an adaptation then relaxes at the new potential.

    Args:
        substeps: number of equal steps into which a time step is divided.

    Raises:
        ValueError: by the equation that gets it, if that does not define ``relaxation``.

    Source: Rush & Larsen (1978), IEEE Trans. Biomed. Eng. 25:389; Hochbruck & Ostermann (2010), Acta Numerica 19:209.
    """

    order: ClassVar[int] = 1

    def path(self, ode: ODE, x: State | Drive, state: State, dt: float | Tensor) -> list[State]:
        drive, moved, states = x, state, []
        if ode.terms and not ode.membrane().leaks:
            drive, moved = _with_inflow(ode, x), ode.hold_terms(state, dt)
        if self.substeps > 1 and not callable(drive) and isinstance(dt, float):
            step = dt / self.substeps
            states = repeat(lambda x, state: self.advance(ode, x, state, step), drive, moved, self.substeps)
            moved = states[-1]
        for k in range(len(states), self.substeps):
            # An input that changes is held at its middle; a coupling sees the state at the start.
            now = drive((k + 0.5) / self.substeps, moved) if callable(drive) else drive
            moved = self.advance(ode, now, moved, dt / self.substeps)
            states.append(moved)
        if ode.terms:
            states[-1] = _solve_terms(ode, x, state, moved, dt)
        return states

    def advance(self, ode: ODE, x: State, state: State, dt: float | Tensor) -> State:
        """One step of the equation alone, under a constant input."""
        return relaxed(state, *ode.relaxation(x, state), dt)

    def check_equation(self, ode: ODE) -> None:
        if ode.relaxation is None:
            raise ValueError(
                f"{type(ode).__name__}: expected an equation tau ds/dt = s_inf - s (a method relaxation) for "
                f"{type(self).__name__}, got only a derivative; use Euler(), Heun(), Midpoint() or RK4()"
            )


def relaxed(state: State, target: State, tau: State, dt: float | Tensor) -> State:
    """A state ``dt`` later, each field on its way to its target; a field without one stays as it is."""

    def moved(value: Tensor, goal: Tensor, constant: Tensor) -> Tensor:
        return goal + (value - goal) * torch.exp(-dt / constant)

    if not isinstance(state, tuple):
        return moved(state, target, tau)
    fields = []
    for value, goal, constant in zip(state, target, tau, strict=True):
        if isinstance(goal, Tensor):
            fields.append(moved(value, goal, constant))
        else:
            fields.append(map_state(moved, value, goal, constant) if goal else value)
    return type(state)(*fields) if hasattr(state, "_fields") else tuple(fields)


def _with_inflow(ode: ODE, x: State | Drive) -> Drive:
    return lambda fraction, state: ode.with_inflow(x(fraction, state) if callable(x) else x, state)


def _solve_terms(ode: ODE, x: State | Drive, before: State, after: State, dt: float | Tensor) -> State:
    """What the terms have done over the step: their currents against the leak, and their own variables."""
    membrane = ode.membrane() if ode.membrane is not None else None
    if membrane is not None and membrane.leaks:
        leak = torch.zeros_like(before.v)
        if ode.relaxation is not None:
            leak = dt / ode.relaxation(x(0.0, before) if callable(x) else x, before)[1].v
        pushes = [getattr(ode, name).push(getattr(before, name), leak, dt) for name in ode.terms]
        pushes = [push for push in pushes if push is not None]
        if pushes:
            after = after._replace(v=after.v + membrane.gain * sum(pushes[1:], start=pushes[0]))
    above = ode.above_rest(after.v)
    relaxed = {name: getattr(ode, name).relax(getattr(before, name), above, dt) for name in ode.terms}
    return after._replace(**relaxed)
