"""The moment within a step at which the potential meets the threshold, and the rest of the step after it."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .integrator import shift
from .state import State, map_state
from .upstroke import Level, Upstroke

if TYPE_CHECKING:
    from .spiking import SpikingODE


def interpolated_step(cell: "SpikingODE", x_t: State, numbers: State, state: State) -> tuple[Tensor, State]:
    """A step in which a spike is fired and the cell reset at the crossing itself, without arrivals.

    Args:
        cell: the cell, without a refractory period.
        x_t: the input.
        numbers: the random numbers of the attached noise.
        state: the state before the step.

    Returns:
        The spikes and the state at the end of the step.
    """
    explicit = cell.integrator.explicit
    upstroke = cell.upstroke() if explicit else Level()
    start = cell.hold_noise(state, numbers) if explicit else state
    trial, after = _advance(cell, upstroke, x_t, start, cell.dt)
    v_first, v_last = cell.threshold(start, numbers), cell.threshold(trial, numbers)
    before = upstroke.straighten(start.v)
    first, last = (upstroke.straighten(upstroke.top(v)) for v in (v_first, v_last))
    # Beyond the threshold the potential goes on with the slope of the coordinate, for the sake of the surrogate.
    reached = trial.v if type(upstroke) is Level else torch.where(after >= last, v_last + (after - last), trial.v)
    spikes = cell.surrogate(reached - v_last)
    fired = spikes > 0
    rise = torch.where(fired, (after - last) - (before - first), torch.ones_like(before))
    share = torch.where(fired, torch.clamp((first - before) / rise, 0, 1), torch.ones_like(before))
    target = torch.where(fired, first + share * (last - first), before)
    crossing, elapsed, resolved = _cross(cell, upstroke, x_t, start, before, target)
    resolved = resolved & (elapsed <= cell.dt)
    crossing = map_state(
        lambda exact, a, b: torch.where(fired, torch.where(resolved, exact, a + share * (b - a)), b),
        crossing, start, trial,
    )  # fmt: skip
    elapsed = torch.where(resolved, elapsed, share * cell.dt)
    crossing = crossing._replace(v=torch.where(fired, v_first + share * (v_last - v_first), reached))
    reset = cell.settle(spikes, crossing)
    rest, _ = _advance(cell, upstroke, x_t, reset, torch.where(fired, cell.dt - elapsed, torch.zeros_like(elapsed)))
    end = map_state(lambda a, b: torch.where(fired, a, b), rest, reset)
    if cell.noise is not None:
        end = end._replace(noise=cell.noise.advance(state.noise, numbers, cell.dt))
    return spikes, end


class _Straightened:
    """A cell whose potential is given in the coordinate of its upstroke, as integrators see it."""

    def __init__(self, cell: "SpikingODE", upstroke: Upstroke, top: Tensor):
        self.cell, self.upstroke, self.top = cell, upstroke, top

    def drift(self, x_t: State, state: State) -> State:
        v = self.upstroke.bend(torch.minimum(state.v, self.top))
        change = self.cell.drift(x_t, state._replace(v=v))
        return change._replace(v=change.v * self.upstroke.stretch(v))


def _advance(
    cell: "SpikingODE", upstroke: Upstroke, x_t: State, state: State, dt: float | Tensor
) -> tuple[State, Tensor]:
    """The state after ``dt`` and its potential in the coordinate, which may lie beyond the threshold."""
    if type(upstroke) is Level:
        moved = cell.advance(x_t, state, None, dt)[-1]
        return moved, moved.v
    top = upstroke.straighten(upstroke.top(cell.v_th()))
    straight = state._replace(v=upstroke.straighten(state.v))
    moved = cell.integrator(_Straightened(cell, upstroke, top), x_t, straight, dt)
    return moved._replace(v=upstroke.bend(torch.minimum(moved.v, top))), moved.v


def _cross(
    cell: "SpikingODE", upstroke: Upstroke, x_t: State, start: State, before: Tensor, target: Tensor
) -> tuple[State, Tensor, Tensor]:
    """The state at which the potential arrives at ``target``, when, and whether it rises all the way.

    The potential takes the place of time as the independent variable, so that a Runge-Kutta step ends on the threshold
    (Henon, 1982, Physica D 5:412).
    """
    length, count, power = target - before, cell.integrator.substeps, upstroke.power
    rising = length > 0

    def slope(u: float, state: State, rising: Tensor) -> tuple[State, Tensor, Tensor]:
        v = upstroke.bend(target - length * (1 - u) ** power)
        change = cell.drift(x_t, state._replace(v=v))
        speed, path = change.v * upstroke.stretch(v), power * length * (1 - u) ** (power - 1)
        # What would take ten steps does not cross in this one.
        rising = rising & (10 * cell.dt * speed >= length)
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
