"""Neurons between events: the closed form over any gap, and the exact time of the next spike."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ..core.numerics import log1prel
from ..core.spiking import Spiking
from ..core.state import State, map_state
from ..neurons.alpha_lif import AlphaLIF
from ..neurons.lif import LIF
from ..neurons.synaptic_lif import SynapticLIF
from .crossing import bracketed_root
from .restrict import restricted

SAME_TIME = 1e-9
"""Events that lie closer than this, in ms, are one: sums of delays differ by rounding."""


class EventCell(ABC):
    """A spiking module seen from one event to the next.

    The module is the one that runs on the clock; its parameters are read, and gradients reach them. The refractory
    field of its state counts ms here, not steps, and goes on below zero when the period is over.

    Args:
        module: the neuron.
    """

    def __init__(self, module: Spiking):
        self.module = module

    def initial_state(self, like: Tensor) -> State:
        """The state of neurons [B, N] at rest."""
        state = self.module.initial_state(like)
        return (
            state
            if isinstance(state.refractory, tuple)
            else state._replace(refractory=torch.full_like(state.v, -torch.inf))
        )

    def hold(self, state: State) -> Tensor:
        """What is left of the refractory period, ms."""
        return torch.zeros_like(state.v) if isinstance(state.refractory, tuple) else state.refractory.clamp(min=0)

    def is_held(self, state: State) -> Tensor:
        """Whether the potential takes no arrivals; one that comes with the end of the period is still too early."""
        return (
            torch.zeros_like(state.v, dtype=torch.bool)
            if isinstance(state.refractory, tuple)
            else state.refractory > -SAME_TIME
        )

    def advance(self, state: State, gap: Tensor) -> State:
        """The state ``gap`` ms later, if no event comes in between."""
        if isinstance(state.refractory, tuple):
            return self.flow(state, gap)
        held = torch.minimum(gap, self.hold(state))
        # While refractory, the potential stands still and everything else goes on.
        after = self.flow(state, held)._replace(v=state.v, refractory=state.refractory - gap)
        return self.flow(after, gap - held)

    def flow(self, state: State, gap: Tensor) -> State:
        """The free solution ``gap`` ms later."""
        moved = self.module.flow(torch.zeros_like(state.v), state, gap)
        return moved._replace(refractory=state.refractory)

    def next_spike(self, state: State, horizon: Tensor) -> tuple[Tensor, Tensor]:
        """When the next spike comes within ``horizon``; no gradient flows here.

        Returns:
            The time until it, ms, infinity where none comes; and whether the potential rises through the threshold
            there, rather than standing above it already after an arrival.
        """
        with torch.no_grad():
            if isinstance(state.refractory, tuple):
                start, free, left = torch.zeros_like(horizon), state, horizon
            else:
                start = torch.minimum(self.hold(state), horizon)
                free, left = self.advance(state, start), horizon - start
            ready = (free.v >= self.module.v_th()) & (start <= horizon)
            wait = self._first_crossing(free, left)
            return start + torch.where(ready, torch.zeros_like(wait), wait), ~ready

    def _first_crossing(self, free: State, horizon: Tensor) -> Tensor:
        """When the potential, free from now on, first rises through the threshold; infinity where it does not."""
        knots = [
            torch.zeros_like(horizon),
            *(torch.minimum(point, horizon) for point in self.turning_points(free, horizon)),
        ]
        heights = [self.height(free), *(self.height(self.flow(free, knot)) for knot in knots[1:])]
        knots, heights = [*knots, horizon], [*heights, self.height(self.flow(free, horizon))]
        crossing = torch.full_like(horizon, torch.inf)
        for start, end, low, high in zip(knots, knots[1:], heights, heights[1:], strict=False):
            # The potential is monotone from knot to knot, so nothing is searched where it does not end up above.
            rising = ((low < 0) & (high >= 0) & torch.isinf(crossing)).nonzero(as_tuple=True)
            if rising[0].numel():
                crossing[rising] = self._root(pick(free, rising), rising[-1], start[rising], end[rising])
        return crossing

    def _root(self, free: State, units: Tensor, start: Tensor, end: Tensor) -> Tensor:
        def height_and_slope(gap: Tensor) -> tuple[Tensor, Tensor]:
            moved = self.flow(free, gap)
            return self.height(moved), self.slope(moved)

        with restricted(self.module, units):
            return bracketed_root(height_and_slope, start, end)

    def height(self, state: State) -> Tensor:
        """How far the potential is above the threshold."""
        return state.v - self.module.v_th()

    def slope(self, state: State) -> Tensor:
        """Rate of change of the potential, per ms."""
        return self.module.derivative(torch.zeros_like(state.v), state).v

    def reset(self, state: State) -> State:
        """The state right after a spike."""
        spikes = torch.ones_like(state.v)
        state = state._replace(v=self.module.reset_potential(spikes, state.v))
        if isinstance(state.refractory, Tensor):
            state = state._replace(refractory=torch.full_like(state.v, self.module.t_ref))
        return self.module.on_spike(spikes, state)

    @abstractmethod
    def receive(self, state: State, weight: Tensor) -> State:
        """The state right after spikes of these weights have arrived."""

    @abstractmethod
    def turning_points(self, state: State, horizon: Tensor) -> list[Tensor]:
        """Times from now, ascending, between which the free potential is monotone up to ``horizon``."""


class EventLIF(EventCell):
    r"""LIF with delta currents: an arrival of weight w moves the potential at once.

    In the refractory period it is lost. The move is what a current of w, held over one step of the clock-driven module,
    has moved the potential by at the end of that step, :math:`R w (1 - e^{-dt / \tau_m})`: so both agree at every point
    of the grid.
    """

    module: LIF

    def receive(self, state: State, weight: Tensor) -> State:
        gain = -torch.expm1(-self.module.dt / self.module.tau_mem())
        jump = torch.where(self.is_held(state), torch.zeros_like(state.v), self.module.R() * gain * weight)
        return state._replace(v=state.v + jump)

    def turning_points(self, state: State, horizon: Tensor) -> list[Tensor]:
        return []


class EventSynapticLIF(EventCell):
    """LIF with exponential currents: an arrival of weight w adds w to the synaptic current."""

    module: SynapticLIF

    def __init__(self, module: SynapticLIF):
        super().__init__(module)
        self._taus_are_apart: bool | None = None

    def receive(self, state: State, weight: Tensor) -> State:
        return state._replace(s=state.s + weight)

    def flow(self, state: State, gap: Tensor) -> State:
        tau_mem, tau_syn = self.module.tau_mem(), self.module.tau_syn()
        if not self._apart(tau_mem, tau_syn):
            return super().flow(state, gap)
        # Two exponentials are a fraction of the work of the form that is safe where the time constants meet.
        share = self.module.R() * state.s * (tau_syn / (tau_mem - tau_syn))
        slow, fast = torch.exp(-gap / tau_mem), torch.exp(-gap / tau_syn)
        v_rest = self.module.v_rest()
        return state._replace(v=v_rest + (state.v - v_rest + share) * slow - share * fast, s=state.s * fast)

    def _apart(self, tau_mem: Tensor, tau_syn: Tensor) -> bool:
        if self._taus_are_apart is None:
            difference = (tau_mem - tau_syn).detach().abs()
            self._taus_are_apart = bool((difference > 0.1 * torch.maximum(tau_mem, tau_syn)).all())
        return self._taus_are_apart

    def turning_points(self, state: State, horizon: Tensor) -> list[Tensor]:
        # exp(t / tau_mem) v' changes at the rate -R s exp(t / tau_mem - t / tau_syn) / (tau_mem tau_syn), which has
        # one sign: v' is zero at most once, where the integral of that rate has used up v'(0).
        tau_mem, tau_syn = self.module.tau_mem(), self.module.tau_syn()
        current = self.module.R() * state.s
        lead = self.slope(state) * tau_mem * tau_syn / torch.where(current == 0, torch.ones_like(current), current)
        argument = lead * (1 / tau_mem - 1 / tau_syn)
        turns = (current != 0) & (lead > 0) & (argument > -1)
        point = lead * log1prel(torch.where(turns, argument, torch.zeros_like(argument)))
        return [torch.where(turns, point, torch.zeros_like(point))]


class EventAlphaLIF(EventCell):
    r"""LIF with alpha currents: an arrival of weight w starts the current :math:`w (t / \tau_s) e^{1 - t / \tau_s}`.

    The potential has at most two turning points. With the potential u from rest, :math:`g = u' e^{t / \tau_m}` changes
    at the rate :math:`R s' e^{t / \tau_m} / \tau_m`, which is zero only where the current turns: so g is monotone on
    either side of that time and crosses zero at most once on each.
    """

    module: AlphaLIF

    def receive(self, state: State, weight: Tensor) -> State:
        return state._replace(h=state.h + math.e * weight)

    def turning_points(self, state: State, horizon: Tensor) -> list[Tensor]:
        tau_syn = self.module.tau_syn()
        # s' is zero at the time t with s + h t / tau_syn = h.
        ratio = state.s / torch.where(state.h == 0, torch.ones_like(state.h), state.h)
        peak = torch.where(state.h == 0, torch.zeros_like(ratio), tau_syn * (1 - ratio)).clamp(min=0)
        peak = torch.minimum(peak, horizon)
        return [
            self._turn(state, torch.zeros_like(peak), peak),
            peak,
            self._turn(state, peak, horizon),
        ]

    def _turn(self, state: State, start: Tensor, end: Tensor) -> Tensor:
        """Where the potential turns between two times, ``end`` if it does not."""
        first, last = self.slope(self.flow(state, start)), self.slope(self.flow(state, end))
        turns = (first * last < 0).nonzero(as_tuple=True)
        turn = end.clone()
        if turns[0].numel():
            part, sign = pick(state, turns), last[turns].sign()

            def slope_and_rate(gap: Tensor) -> tuple[Tensor, Tensor]:
                moved = self.flow(part, gap)
                change = self.module.derivative(torch.zeros_like(gap), moved)
                return sign * change.v, sign * (self.module.R() * change.s - change.v) / self.module.tau_mem()

            with restricted(self.module, turns[-1]):
                turn[turns] = bracketed_root(slope_and_rate, start[turns], end[turns])
        return turn


_CELLS: dict[type[Spiking], type[EventCell]] = {
    AlphaLIF: EventAlphaLIF,
    LIF: EventLIF,
    SynapticLIF: EventSynapticLIF,
}


def event_cell(module: Spiking) -> EventCell:
    """The event-driven form of a neuron.

    Raises:
        TypeError: if the neuron has none, because its solution between events is not known in closed form.
        ValueError: if adaptation or noise is attached to it, for the same reason.
    """
    if type(module) not in _CELLS:
        known = ", ".join(sorted(kind.__name__ for kind in _CELLS))
        raise TypeError(
            f"{type(module).__name__}: expected a neuron with a closed form between events ({known}), got one without; "
            "run it on the clock with scan()"
        )
    if module.adaptation is not None or module.noise is not None:
        raise ValueError(
            f"{type(module).__name__}: expected a neuron without adaptation and noise, to be exact between events, "
            "got one with; run it on the clock with scan()"
        )
    return _CELLS[type(module)](module)


def pick(state: State, index: tuple[Tensor, ...]) -> State:
    """The state of some neurons."""
    return map_state(lambda leaf: leaf[index], state)


def put(state: State, index: tuple[Tensor, ...], part: State) -> State:
    """``state`` with some neurons in the state ``part``."""
    return map_state(lambda leaf, new: leaf.index_put(index, new), state, part)


def select(condition: Tensor, chosen: State, other: State) -> State:
    """``chosen`` where the condition holds, ``other`` elsewhere."""
    return map_state(lambda a, b: torch.where(condition, a, b), chosen, other)
