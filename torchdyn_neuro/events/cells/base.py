"""Neurons between events: the closed form over any gap, and the exact time of the next spike."""

import copy
from abc import ABC, abstractmethod
from typing import Self, TypeAlias

import torch
from torch import Tensor

from ...core.stand_in import stand_in
from ...core.state import State, map_state
from ...neurons.alpha_lif import AlphaLIF
from ...neurons.lif import LIF
from ...neurons.synaptic_lif import SynapticLIF
from ..crossing import bracketed_root
from ..restrict import part_of, restricted

Neuron: TypeAlias = AlphaLIF | LIF | SynapticLIF
"""The neurons whose solution between events is known in closed form."""

SAME_TIME = 1e-9
"""Events that lie closer than this, in ms, are one: sums of delays differ by rounding."""


def resting_state(module: Neuron, like: Tensor) -> State:
    """The state of neurons at rest; its refractory field counts ms, not steps, and goes on below zero.

    A neuron whose resting potential is not below its threshold fires for ever and has no rest: it starts as reset.
    """
    state = module.initial_state(like)
    v = torch.where(state.v >= module.v_th(), reset_level(module), state.v)
    return state._replace(v=v, refractory=torch.full_like(v, -torch.inf) if module.t_ref > 0 else ())


def reset_level(module: Neuron) -> Tensor:
    """Where a spike at the threshold leaves the potential."""
    if module.reset == "zero":
        return torch.zeros_like(module.v_th())
    return module.v_reset() if module.reset == "value" else module.v_rest()


class EventCell(ABC):
    r"""A spiking module seen from one event to the next, under a constant current I.

    The module is the one that runs on the clock; its parameters are read, and gradients reach them. The refractory
    field of its state counts ms here, not steps, and goes on below zero when the period is over.

    Between events the potential relaxes to the level :math:`v_{rest} + R I`. Threshold crossings are sought in its
    deviation from there, so that a potential which only approaches the threshold never rounds to it.

    Args:
        module: a stand-in for the neuron, of which the cell is the only owner.
        current: one value, or one for each neuron [n].

    Shape: leaves of states, gaps and horizons are [n].
    """

    def __init__(self, module: Neuron, current: Tensor):
        rest = module.v_rest()
        self.module = module
        self.level = rest + module.R() * current
        self.centered = stand_in(module, {module.v_rest: {None: torch.zeros_like(rest)}})
        """The module whose potential relaxes to zero: it moves the deviation from the level."""

    def of(self, units: Tensor) -> Self:
        """The cell of some of the neurons."""
        module, level = restricted(self.module, units), part_of(self.level, units)
        if module is self.module and level is self.level:
            return self
        part = copy.copy(self)
        part.module, part.level, part.centered = module, level, restricted(self.centered, units)
        return part

    def hold(self, state: State) -> Tensor:
        """What is left of the refractory period, ms."""
        return torch.zeros_like(state.v) if isinstance(state.refractory, tuple) else state.refractory.clamp(min=0)

    def is_held(self, state: State) -> Tensor:
        """Whether the potential takes no arrivals; one that comes with the end of the period is still too early."""
        if isinstance(state.refractory, tuple):
            return torch.zeros_like(state.v, dtype=torch.bool)
        return state.refractory > -SAME_TIME

    def advance(self, state: State, gap: Tensor) -> State:
        """The state ``gap`` ms later, if no event comes in between."""
        if isinstance(state.refractory, tuple):
            return self._free(state, gap)
        held = torch.minimum(gap, self.hold(state))
        # While refractory, the potential stands still and everything else goes on.
        after = self._free(state, held)._replace(v=state.v, refractory=state.refractory - gap)
        return self._free(after, gap - held)

    def _free(self, state: State, gap: Tensor) -> State:
        moved = self.relax(state._replace(v=state.v - self.level), gap)
        return moved._replace(v=moved.v + self.level)

    def relax(self, deviation: State, gap: Tensor) -> State:
        """The free solution ``gap`` ms later; here and below, ``v`` is the deviation from the level."""
        return self.centered.flow(torch.zeros_like(gap), deviation, gap)

    def next_spike(self, state: State, horizon: Tensor) -> tuple[Tensor, Tensor]:
        """When the next spike comes within ``horizon``; no gradient flows here.

        Returns:
            The time until it, ms, infinity where none comes; and whether the potential rises through the threshold
            there, rather than standing above it already after an arrival.
        """
        with torch.no_grad():
            start = torch.minimum(self.hold(state), horizon)
            free = state if isinstance(state.refractory, tuple) else self.advance(state, start)
            deviation = free._replace(v=free.v - self.level)
            # Both, so that no rounding of either leaves a potential that is neither below the threshold nor above it.
            ready = (free.v >= self.module.v_th()) | (deviation.v >= self.module.v_th() - self.level)
            wait = self.first_crossing(deviation, horizon - start)
            return start + torch.where(ready, torch.zeros_like(wait), wait), ~ready

    def first_crossing(self, deviation: State, horizon: Tensor) -> Tensor:
        """When the potential, free from now on, first rises through the threshold; infinity where it does not."""
        threshold = self.module.v_th() - self.level
        knots = [
            torch.zeros_like(horizon),
            *(torch.minimum(point, horizon) for point in self.turning_points(deviation, horizon)),
            horizon,
        ]
        heights = [deviation.v - threshold, *(self.relax(deviation, knot).v - threshold for knot in knots[1:])]
        crossing = torch.full_like(horizon, torch.inf)
        for start, end, low, high in zip(knots, knots[1:], heights, heights[1:], strict=False):
            # The potential is monotone from knot to knot, so nothing is searched where it does not end up above. A
            # deviation of zero at a threshold of zero has underflowed: the level is approached, never reached.
            reached = (high > 0) | ((high == 0) & (threshold != 0))
            rising = ((low < 0) & reached & torch.isinf(crossing)).nonzero()[:, 0]
            if rising.numel():
                crossing[rising] = self.of(rising)._root(pick(deviation, rising), start[rising], end[rising])
        return crossing

    def _root(self, deviation: State, start: Tensor, end: Tensor) -> Tensor:
        threshold = self.module.v_th() - self.level

        def height_and_slope(gap: Tensor) -> tuple[Tensor, Tensor]:
            moved = self.relax(deviation, gap)
            return moved.v - threshold, self.slope(moved)

        return bracketed_root(height_and_slope, start, end)

    def with_gradient(self, state: State, wait: Tensor, crosses: Tensor) -> Tensor:
        """The same waits for the next spike, with the gradient of the root: one Newton step of a slope held fixed."""
        if not torch.is_grad_enabled():
            return wait
        reached = self.advance(state, wait)
        slope = self.slope(reached._replace(v=reached.v - self.level)).detach()
        # Where the potential only touches the threshold, the gradient grows beyond bounds, but the time is a number.
        slope = slope.clamp(min=torch.finfo(slope.dtype).tiny)
        height = reached.v - self.module.v_th()
        return wait - torch.where(crosses, (height - height.detach()) / slope, torch.zeros_like(wait))

    def reset(self, state: State) -> State:
        """The state right after a spike."""
        if self.module.reset == "subtract":
            v = state.v - (self.module.v_th() - self.module.v_rest())
        else:
            v = torch.zeros_like(state.v) + reset_level(self.module)
        refractory = () if isinstance(state.refractory, tuple) else torch.full_like(state.v, self.module.t_ref)
        return state._replace(v=v, refractory=refractory)

    @abstractmethod
    def receive(self, state: State, weight: Tensor) -> State:
        """The state right after spikes of these weights have arrived; ``v`` is the potential itself."""

    @abstractmethod
    def slope(self, deviation: State) -> Tensor:
        """Rate of change of the free potential, per ms."""

    @abstractmethod
    def turning_points(self, deviation: State, horizon: Tensor) -> list[Tensor]:
        """Times from now, ascending, between which the free potential is monotone up to ``horizon``."""


def taus_are_apart(module: AlphaLIF | SynapticLIF) -> bool:
    """Whether the two time constants of every neuron are far enough apart to divide by their difference."""
    tau_mem, tau_syn = module.tau_mem().detach(), module.tau_syn().detach()
    return bool(((tau_mem - tau_syn).abs() > 0.1 * torch.maximum(tau_mem, tau_syn)).all())


def pick(state: State, index: Tensor) -> State:
    """The state of some neurons."""
    return map_state(lambda leaf: leaf[index], state)


def select(condition: Tensor, chosen: State, other: State) -> State:
    """``chosen`` where the condition holds, ``other`` elsewhere."""
    return map_state(lambda a, b: torch.where(condition, a, b), chosen, other)
