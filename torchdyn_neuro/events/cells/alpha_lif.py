"""The LIF neuron with an alpha-shaped synaptic current between events."""

import math

import torch
from torch import Tensor

from ...core.state import State
from ...neurons.alpha_lif import AlphaLIF
from ..crossing import bracketed_root
from .base import EventCell, pick, taus_are_apart


class EventAlphaLIF(EventCell):
    r"""LIF with alpha currents: an arrival of weight w starts the current :math:`w (t / \tau_s) e^{1 - t / \tau_s}`.

    The potential has at most two turning points. With its deviation u from the level, :math:`g = u' e^{t / \tau_m}`
    changes at the rate :math:`R s' e^{t / \tau_m} / \tau_m`, which is zero only where the synaptic current turns: so g
    is monotone on either side of that time and crosses zero at most once on each.
    """

    module: AlphaLIF

    def __init__(self, module: AlphaLIF, current: Tensor):
        super().__init__(module, current)
        self._taus_are_apart = taus_are_apart(module)

    def receive(self, state: State, weight: Tensor) -> State:
        return state._replace(h=state.h + math.e * weight)

    def relax(self, deviation: State, gap: Tensor) -> State:
        if not self._taus_are_apart:
            return super().relax(deviation, gap)
        # A fraction of the work of the form that is safe where the time constants meet.
        tau_mem, tau_syn = self.module.tau_mem(), self.module.tau_syn()
        slow, fast, ramp = torch.exp(-gap / tau_mem), torch.exp(-gap / tau_syn), deviation.h / tau_syn
        lag = tau_mem * tau_syn / (tau_mem - tau_syn)
        filtered = lag * ((deviation.s + lag * ramp) * (slow - fast) - ramp * gap * fast)
        v = deviation.v * slow + self.module.R() / tau_mem * filtered
        return deviation._replace(v=v, s=(deviation.s + ramp * gap) * fast, h=deviation.h * fast)

    def slope(self, deviation: State) -> Tensor:
        return (self.module.R() * deviation.s - deviation.v) / self.module.tau_mem()

    def turning_points(self, deviation: State, horizon: Tensor) -> list[Tensor]:
        tau_syn = self.module.tau_syn()
        # s' is zero at the time t with s + h t / tau_syn = h.
        ratio = deviation.s / torch.where(deviation.h == 0, torch.ones_like(deviation.h), deviation.h)
        peak = torch.where(deviation.h == 0, torch.zeros_like(ratio), tau_syn * (1 - ratio)).clamp(min=0)
        peak = torch.minimum(peak, horizon)
        return [
            self._turn(deviation, torch.zeros_like(peak), peak),
            peak,
            self._turn(deviation, peak, horizon),
        ]

    def _turn(self, deviation: State, start: Tensor, end: Tensor) -> Tensor:
        """Where the potential turns between two times, ``end`` if it does not."""
        first, last = self.slope(self.relax(deviation, start)), self.slope(self.relax(deviation, end))
        turns = (first * last < 0).nonzero()[:, 0]
        turn = end.clone()
        if turns.numel():
            cell, part, sign = self.of(turns), pick(deviation, turns), last[turns].sign()

            def slope_and_rate(gap: Tensor) -> tuple[Tensor, Tensor]:
                moved = cell.relax(part, gap)
                slope, change = cell.slope(moved), (moved.h - moved.s) / cell.module.tau_syn()
                return sign * slope, sign * (cell.module.R() * change - slope) / cell.module.tau_mem()

            turn[turns] = bracketed_root(slope_and_rate, start[turns], end[turns])
        return turn
