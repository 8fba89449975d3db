"""Periodic solutions."""

from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.checks import positive_number
from ..core.state import State
from .as_field import as_field
from .cycle_equations import CycleEquations, regular_cycle
from .field import At, Field
from .floquet import multipliers
from .fourier import extremes, roughness, values_at
from .orbit import recurring_orbit

_FEWEST, _MOST_UNKNOWNS, _LONGER_RUNS = 65, 5000, 4


class LimitCycle(NamedTuple):
    """A periodic solution.

    states: at N equally spaced phases of the period, [N, n].
    period: ms.
    multipliers: factors by which small deviations grow in a period, complex [n]; the first is that along the cycle, 1.
    error: size of the highest harmonics, relative to the largest: about the relative error of the states.
    """

    states: Tensor
    period: Tensor
    multipliers: Tensor
    error: float

    @property
    def frequency(self) -> Tensor:
        """Hz."""
        return 1000 / self.period

    @property
    def stable(self) -> bool:
        """Whether small deviations die out."""
        return bool((self.multipliers[1:].abs() < 1).all())

    @property
    def low(self) -> Tensor:
        """The smallest value of each variable, [n]."""
        return extremes(self.states)[0]

    @property
    def high(self) -> Tensor:
        """The largest value of each variable, [n]."""
        return extremes(self.states)[1]

    @property
    def amplitude(self) -> Tensor:
        """Half of the way from the smallest to the largest value of each variable, [n]."""
        low, high = extremes(self.states)
        return (high - low) / 2


def limit_cycle(
    system: Any, start: State, *, settle: float = 1000.0, tolerance: float = 1e-8, **at: Unpack[At]
) -> LimitCycle:
    r"""The periodic solution to which a start leads, with its period.

    The equation is run until it comes back to where it was; then all phases of the cycle and its period are solved for
    at once, with more phases until the highest harmonics vanish. States and period are differentiable with respect to
    the parameters by the implicit function theorem, without a gradient through time.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field; one system.
        start: [n], or a state of the dynamics.
        settle: run before the cycle is looked for, and looked at for it at first, ms; longer than a few periods.
        tolerance: relative size of the highest harmonics.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Raises:
        ValueError: if the system comes to rest, does not come back, is chaotic, runs away or reaches the threshold of a
            cell; if the cycle is too sharp for the most phases that are tried; for what is no smooth autonomous field.

    Source: Doedel et al. (1991), Int. J. Bifurcation Chaos 1:745.

    Example:
        >>> def f(x):
        ...     u, v = x.unbind(-1)
        ...     r = u * u + v * v
        ...     return torch.stack([u - 2 * v - r * u, 2 * u + v - r * v], -1)
        >>> cycle = limit_cycle(f, torch.tensor([0.1, 0.0]), settle=20.0)
        >>> f"{cycle.period:.6f} ms", cycle.stable
        ('3.141593 ms', True)
    """
    settle = positive_number("limit_cycle", "settle", settle, unit="ms")
    field = as_field(system, start, **at)
    x = field.in_rows(start)
    x = x.reshape(-1, x.shape[-1])
    if len(x) != 1:
        raise ValueError(
            f"{field.owner}: expected one system and one start, got {len(x)} rows; call limit_cycle for each"
        )
    with torch.no_grad():
        states, length, error = _found(field, x[0].detach(), settle, tolerance)
    states, length = regular_cycle(field, states, length)
    cycle = LimitCycle(states, length, multipliers(field, states, length), error)
    grows = cycle.multipliers[1:].detach().abs().amax().item() if x.shape[-1] > 1 else 0.0
    if grows > 1 + 1e-3:
        raise ValueError(
            f"{field.owner}: expected a limit cycle that attracts, got a motion that keeps leaving the cycle it comes "
            f"by (period {cycle.period.item():g} ms, deviations grow {grows:.3g} times in it), as in chaos; see "
            "lyapunov_spectrum and power_spectrum"
        )
    return cycle


def _found(field: Field, x: Tensor, settle: float, tolerance: float) -> tuple[Tensor, Tensor, float]:
    """The cycle to which a state leads, after longer and longer runs."""
    for _ in range(_LONGER_RUNS):
        orbit, period = recurring_orbit(field, x, settle)
        solved = _refined(field, orbit, period, tolerance)
        if solved is not None:
            return solved
        x, settle = orbit[0], 4 * settle
    raise ValueError(
        f"{field.owner}: expected a limit cycle near where the system comes back after {period.item():g} ms, got "
        "equations that no cycle solves there: it may spiral slowly into a fixed point; pass a longer settle, or "
        "another start"
    )


def _refined(field: Field, orbit: Tensor, period: Tensor, tolerance: float) -> tuple[Tensor, Tensor, float] | None:
    """States at as many phases as the cycle near an orbit [N, n] needs, its period and the error, if there is one."""
    count = max(len(orbit), _FEWEST) | 1
    while True:
        phases = torch.arange(count, dtype=orbit.dtype, device=orbit.device) / count
        guess = values_at(orbit, phases)
        solved = _newton(field, guess, period)
        if solved is None:
            return None
        states, length = solved
        swing = (states.amax(0) - states.amin(0)) / (1 + states.abs().amax(0))
        if not swing.amax() > 1e-6 or not length > 0:
            return None  # a fixed point solves the equations too
        error = roughness(states)
        if error <= tolerance:
            break
        more = 2 * count + 1
        if more * orbit.shape[1] > _MOST_UNKNOWNS:
            if error <= 1e-4:
                break
            raise ValueError(
                f"{field.owner}: expected a cycle that {count} phases resolve, got harmonics of {error:.1g} of the "
                "largest left; it is too sharp: run the dynamics and measure its period"
            )
        orbit, period, count = states, length, more
    if not bool(field.allowed(states).all()):
        raise ValueError(
            f"{field.owner}: expected a cycle below the threshold, got one that crosses it; measure spikes instead"
        )
    return states, length, error


def _newton(field: Field, guess: Tensor, period: Tensor) -> tuple[Tensor, Tensor] | None:
    equations = CycleEquations(guess)
    z = torch.cat([guess.flatten(), period.reshape(1)])
    value, slope = equations.linearized(field, z)
    for _ in range(60):
        step = torch.linalg.solve_ex(slope, value)[0]
        length = (step.abs() / (1 + z.abs())).amax()
        if length < 1e-10:
            return (z - step)[:-1].reshape(guess.shape), (z - step)[-1]
        # Near a Hopf point the residual first grows: where no part of the step makes it smaller, all is taken.
        whole = min(1.0, 0.5 / length.item(), 0.5 * abs((z[-1] / step[-1]).item()))
        for part in (whole, whole / 2, whole / 4, whole / 8, whole):
            tried = z - part * step
            new_value, new_slope = equations.linearized(field, tried)
            if torch.linalg.vector_norm(new_value) < torch.linalg.vector_norm(value):
                break
        if not torch.isfinite(new_value).all():
            break
        z, value, slope = tried, new_value, new_slope
    return None
