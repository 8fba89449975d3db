"""Spikes at the moment at which the potential crosses the threshold, within a step."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from ..core.integrator import Drive, ExplicitIntegrator, Integrator, shift, within
from ..core.ode import ODE
from ..core.quantities import readable
from ..core.spiking import Spiking
from ..core.state import State, map_state
from ..core.upstroke import Level, Upstroke
from .rk4 import RK4

_ROUNDING = 1e-3  # in steps


@dataclass(frozen=True)
class Interpolated(Integrator):
    r"""An integrator under which a cell is reset at the crossing of its threshold, not at the end of the step.

    Where a cell spikes, the moment at which the potential meets the threshold is found, the cell is reset there, held
    for its refractory period, and what is left of the step is integrated, at three to five times the work. Spike times
    then converge with the order of the method (second order at most under a threshold that moves); on the grid alone
    each interval is rounded up to a step. A step holds one spike at most. :func:`crossing_times` hands the moments out.

    To find the crossing the potential takes the place of time as the independent variable, so that a Runge-Kutta step
    ends on the threshold; an upstroke that would reach infinity is followed in a coordinate in which it is straight.

    Args:
        method: the integrator between the crossings.

    Raises:
        TypeError: if ``method`` is no integrator.
        ValueError: by the cell that gets it, if it has no reset to a crossing, or a noise that jumps under this method.

    Source: Henon (1982), Physica D 5:412.
    """

    method: Integrator = RK4()
    substeps: int = field(default=1, init=False)

    crossings: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.method, Integrator) or isinstance(self.method, Interpolated):
            raise TypeError(f"Interpolated: expected a method such as RK4(), got {self.method!r}; pass an instance")
        object.__setattr__(self, "substeps", self.method.substeps)

    @property
    def order(self) -> int:
        """Order of convergence, that of the method."""
        return self.method.order

    def start(self, ode: ODE, x_t: State) -> dict[str, State]:
        return self.method.start(ode, x_t)

    def path(self, ode: ODE, x: State | Drive, state: State, dt: float | Tensor) -> list[State]:
        return self.method.path(ode, x, state, dt)

    def check(self, ode: ODE) -> None:
        super().check(ode)
        self.method.check(ode)

    def check_equation(self, ode: ODE) -> None:
        self.method.check_equation(ode)
        owner = type(ode).__name__
        if not isinstance(ode, Spiking) or ode.reset == "none":
            raise ValueError(
                f"{owner}: expected a cell that is reset at a threshold for Interpolated, got one without a reset; use "
                f"{self.method!r}"
            )
        if ode.adaptation is not None and ode.adaptation.shared:
            raise ValueError(
                f"{owner}: expected an adaptation of each row for Interpolated, where rows spike at own times, "
                f"got one {type(ode.adaptation).__name__} for all; use rows='each' or {self.method!r}"
            )
        if self.method.draws:
            raise ValueError(
                f"{owner}: expected a method without noise inside Interpolated, got {self.method!r}, whose path "
                "crosses more than once; use RK4()"
            )
        jumps = ode.noise is not None and ode.noise.as_current and not isinstance(self.method, ExplicitIntegrator)
        if jumps:
            raise ValueError(
                f"{owner}: expected an explicit integrator to interpolate crossings under {type(ode.noise).__name__}, "
                f"got {type(self.method).__name__}, for which the noise is a jump without a path; use "
                "Interpolated(RK4())"
            )

    def cross(self, cell: Spiking, x: State | Drive, state: State) -> tuple[Tensor, State]:
        """A step of a cell: its spikes and its state at the end."""
        return _Step(self.method, cell, x).run(state)


class _Step:
    """One step of a cell under one input."""

    def __init__(self, method: Integrator, cell: Spiking, x: State | Drive):
        self.method, self.cell, self.x = method, cell, x
        self.explicit = isinstance(method, ExplicitIntegrator)
        membrane = cell.membrane() if cell.membrane is not None and self.explicit else None
        self.upstroke: Upstroke = membrane.upstroke if membrane is not None and membrane.upstroke else Level()

    def run(self, state: State) -> tuple[Tensor, State]:
        cell, dt, t_ref = self.cell, self.cell.dt, self.cell.t_ref
        start = cell.hold_terms(state, dt) if self.explicit else state
        free: float | Tensor = dt
        if t_ref:
            held = torch.clamp(state.refractory, 0, dt)
            start, free = self.held(start, held), dt - held
        trial, after = self.advance(self.moving(start), free)
        v_first, v_last = cell.threshold.level(cell, start), cell.threshold.level(cell, trial)
        before = self.upstroke.straighten(start.v)
        first, last = (self.upstroke.straighten(self.upstroke.top(v)) for v in (v_first, v_last))
        # Beyond the threshold the potential goes on with the slope of the coordinate, for the sake of the surrogate.
        level = isinstance(self.upstroke, Level)
        reached = trial.v if level else torch.where(after >= last, v_last + (after - last), trial.v)
        spikes = cell.surrogate(reached - v_last)
        if t_ref:
            spikes = spikes * (free > 0).to(spikes.dtype)
            trial = trial._replace(v=torch.where(free > 0, trial.v, start.v))
        fired = spikes > 0
        # A threshold that came down, or a state that was given, may start above it: that spikes at once.
        above = before >= first
        rising = fired & ~above
        rise = torch.where(rising, (after - last) - (before - first), torch.ones_like(before))
        share = torch.where(rising, torch.clamp((first - before) / rise, 0, 1), (~above).to(before.dtype))
        target = torch.where(fired, first + share * (last - first), before)
        crossing, elapsed, resolved = self.find(self.moving(start), before, target, free)
        resolved = resolved & (elapsed <= free)

        def at_the_crossing(exact: Tensor, a: Tensor, b: Tensor) -> Tensor:
            if not b.is_floating_point():  # the key of a noise, one for the whole step
                return b
            return torch.where(fired, torch.where(resolved, exact, a + share * (b - a)), b)

        crossing = map_state(at_the_crossing, crossing, start, trial)
        elapsed = torch.where(resolved, elapsed, share * free)
        met = torch.where(above, start.v, v_first + share * (v_last - v_first))
        crossing = crossing._replace(v=torch.where(fired, met, trial.v))
        reset = cell.settle(spikes, crossing)
        left = torch.where(fired, free - elapsed, torch.zeros_like(elapsed))
        pause = torch.clamp(left, max=t_ref)
        rest = self.held(reset, pause) if t_ref else reset
        rest, _ = self.advance(self.moving(rest), left - pause if t_ref else left)
        end = map_state(lambda a, b: torch.where(fired, a, b), rest, reset)
        past = torch.clamp(state.refractory - dt, min=-dt)
        end = end._replace(refractory=torch.where(fired, t_ref - left, past))
        if self.explicit:
            end = cell.release_terms(state, end, dt)
        return spikes, end

    @staticmethod
    def moving(state: State) -> State:
        """The state with a potential that is free to move."""
        return state._replace(refractory=torch.zeros_like(state.v))

    def held(self, state: State, duration: Tensor) -> State:
        """The state after a time in which the potential stands still."""
        state = state._replace(refractory=torch.ones_like(state.v))
        if self.explicit:
            return self.method.walk(self.cell, self.x, state, duration)[-1]
        return self.method.path(self.cell, self.x, state, duration)[-1]._replace(v=state.v)

    def advance(self, state: State, dt: float | Tensor) -> tuple[State, Tensor]:
        """The state after ``dt`` and its potential in the coordinate, which may lie beyond the threshold."""
        if not self.explicit:
            moved = self.method.path(self.cell, self.x, state, dt)[-1]
            return moved, moved.v
        if isinstance(self.upstroke, Level):
            moved = self.method.walk(self.cell, self.x, state, dt)[-1]
            return moved, moved.v
        top = self.upstroke.straighten(self.upstroke.top(self.cell.v_th()))
        straight = state._replace(v=self.upstroke.straighten(state.v))
        moved = self.method.walk(_Straightened(self.cell, self.upstroke, top), self.x, straight, dt)[-1]
        return moved._replace(v=self.upstroke.bend(torch.minimum(moved.v, top))), moved.v

    def find(self, start: State, before: Tensor, target: Tensor, dt: float | Tensor) -> tuple[State, Tensor, Tensor]:
        """The state at which the potential arrives at ``target``, when, and whether it rises all the way."""
        length, count, power = target - before, self.method.substeps, self.upstroke.power
        drive = within(self.x, 0, 1)
        rising = length > 0

        def slope(u: float, state: State, rising: Tensor) -> tuple[State, Tensor, Tensor]:
            v = self.upstroke.bend(target - length * (1 - u) ** power)
            moved = state._replace(v=v)
            change = self.cell.vector_field(drive(0.0, moved), moved)
            speed = (change.v + self.upstroke.steepness(v)) * self.upstroke.stretch(v)
            path = power * length * (1 - u) ** (power - 1)
            # What would take ten steps does not cross in this one.
            rising = rising & (10 * dt * speed >= length)
            pace = path / torch.where(rising, speed, torch.ones_like(speed))
            return map_state(lambda leaf: leaf * pace, change._replace(v=())), pace, rising

        state, elapsed, h = start, torch.zeros_like(before), 1 / count
        for k in range(count):
            u = k * h
            k1, t1, rising = slope(u, state, rising)
            k2, t2, rising = slope(u + h / 2, shift(state, k1, h / 2), rising)
            k3, t3, rising = slope(u + h / 2, shift(state, k2, h / 2), rising)
            k4, t4, rising = slope(u + h, shift(state, k3, h), rising)
            state = shift(state, map_state(lambda a, b, c, d: a + 2 * (b + c) + d, k1, k2, k3, k4), h / 6)
            elapsed = elapsed + h / 6 * (t1 + 2 * (t2 + t3) + t4)
        return state, elapsed, rising


class _Straightened:
    """A cell whose potential is given in the coordinate of its upstroke, as integrators see it."""

    def __init__(self, cell: Spiking, upstroke: Upstroke, top: Tensor):
        self.cell, self.upstroke, self.top = cell, upstroke, top

    def vector_field(self, x_t: State, state: State) -> State:
        v = self.upstroke.bend(torch.minimum(state.v, self.top))
        change = self.cell.vector_field(x_t, state._replace(v=v))
        return change._replace(v=(change.v + self.upstroke.steepness(v)) * self.upstroke.stretch(v))


def crossing_times(spikes: Tensor, refractory: Tensor, cell: Spiking) -> Tensor:
    """The moments of the spikes of a run under :class:`Interpolated`.

    Args:
        spikes: output of the cell, [T, B, \\*].
        refractory: trajectory of the state field ``refractory``, as ``record(cell, x, ["output", "refractory"])``
            gives it.
        cell: the cell.

    Returns:
        The time of each spike since the start of the run, ms, [T, B, \\*]; NaN where there is none. It carries the
        gradient of the crossing.

    Raises:
        TypeError: if the cell is none.
        ValueError: if the integrator of the cell does not interpolate, or the two trajectories are not of one run.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> cell = tdn.LIF(10.0, integrator=tdn.Interpolated(tdn.RK4()))
        >>> seen = tdn.record(cell, torch.full((8, 1, 1), 2.0), ["output", "refractory"])
        >>> times = crossing_times(seen["output"], seen["refractory"], cell)
        >>> round(times[~times.isnan()].item(), 3)  # 10 ln 2
        6.931
    """
    if not isinstance(cell, Spiking):
        raise TypeError(f"crossing_times: expected a spiking cell, got {type(cell).__name__}; pass the cell itself")
    if not cell.integrator.crossings:
        raise ValueError(
            f"crossing_times: expected a cell with the integrator Interpolated(RK4()), got {cell.integrator!r}, whose "
            "spikes lie on the grid"
        )
    if spikes.shape != refractory.shape:
        raise ValueError(
            f"crossing_times: expected spikes and refractory of one run, got shapes {tuple(spikes.shape)} and "
            f"{tuple(refractory.shape)}; record both in one call"
        )
    fired = spikes > 0
    if readable(spikes, refractory) and not _belong_together(spikes, refractory, cell):
        raise ValueError(
            "crossing_times: expected spikes of 0 and 1, and the state field refractory after each step of the same "
            'run, got others; pass what record(cell, x, ["output", "refractory"]) gives, in this order'
        )
    ends = torch.arange(1, spikes.shape[0] + 1, dtype=refractory.dtype, device=spikes.device) * cell.dt
    times = ends.reshape(-1, *[1] * (spikes.ndim - 1)) - (cell.t_ref - refractory)
    return torch.where(fired, times, torch.full_like(times, torch.nan))


def _belong_together(spikes: Tensor, refractory: Tensor, cell: Spiking) -> bool:
    """Whether the one is spikes and the other says, where there is one, that it was fired within the step."""
    ago = (cell.t_ref - refractory) / cell.dt
    within_step = (ago > -_ROUNDING) & (ago < 1 + _ROUNDING)
    known = (spikes == 0) | ((spikes == 1) & within_step) | spikes.isnan()
    return bool(known.all())
