"""The LIF neuron between events."""

import torch
from torch import Tensor

from ...core.state import State
from ...neurons.lif import LIF
from .base import EventCell


class EventLIF(EventCell):
    r"""LIF with delta currents: an arrival of weight w moves the potential at once.

    In the refractory period it is lost. The move is what a current of w, held over one step of the clock-driven module,
    has moved the potential by at the end of that step, :math:`R w (1 - e^{-dt / \tau_m})`: so both agree at every point
    of the grid. Under a constant current beyond rheobase, the next spike comes after
    :math:`\tau_m \ln \frac{v_\infty - v}{v_\infty - v_{th}}`, where :math:`v_\infty = v_{rest} + R I`.
    """

    module: LIF

    def receive(self, state: State, weight: Tensor) -> State:
        gain = -torch.expm1(-self.module.dt / self.module.tau_mem())
        jump = torch.where(self.is_held(state), torch.zeros_like(state.v), self.module.R() * gain * weight)
        return state._replace(v=state.v + jump)

    def first_crossing(self, deviation: State, horizon: Tensor) -> Tensor:
        threshold = self.module.v_th() - self.level
        rises = (threshold < 0) & (deviation.v < threshold)
        ratio = (threshold - deviation.v) / torch.where(rises, -threshold, torch.ones_like(horizon))
        wait = self.module.tau_mem() * torch.log1p(torch.where(rises, ratio, torch.zeros_like(ratio)))
        return torch.where(rises & (wait <= horizon), wait, torch.full_like(wait, torch.inf))

    def slope(self, deviation: State) -> Tensor:
        return -deviation.v / self.module.tau_mem()

    def turning_points(self, deviation: State, horizon: Tensor) -> list[Tensor]:
        return []
