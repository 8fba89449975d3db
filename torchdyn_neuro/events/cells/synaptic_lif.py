"""The LIF neuron with an exponential synaptic current between events."""

import torch
from torch import Tensor

from ...core.numerics import log1prel
from ...core.state import State
from ...neurons.synaptic_lif import SynapticLIF
from .base import EventCell, taus_are_apart


class EventSynapticLIF(EventCell):
    """LIF with exponential currents: an arrival of weight w adds w to the synaptic current."""

    module: SynapticLIF

    def __init__(self, module: SynapticLIF, current: Tensor):
        super().__init__(module, current)
        self._taus_are_apart = taus_are_apart(module)

    def receive(self, state: State, weight: Tensor) -> State:
        return state._replace(s=state.s + weight)

    def relax(self, deviation: State, gap: Tensor) -> State:
        if not self._taus_are_apart:
            return super().relax(deviation, gap)
        # Two exponentials are a fraction of the work of the form that is safe where the time constants meet.
        tau_mem, tau_syn = self.module.tau_mem(), self.module.tau_syn()
        share = self.module.R() * deviation.s * (tau_syn / (tau_mem - tau_syn))
        slow, fast = torch.exp(-gap / tau_mem), torch.exp(-gap / tau_syn)
        return deviation._replace(v=(deviation.v + share) * slow - share * fast, s=deviation.s * fast)

    def slope(self, deviation: State) -> Tensor:
        return (self.module.R() * deviation.s - deviation.v) / self.module.tau_mem()

    def turning_points(self, deviation: State, horizon: Tensor) -> list[Tensor]:
        # exp(t / tau_mem) v' changes at the rate -R s exp(t / tau_mem - t / tau_syn) / (tau_mem tau_syn), which has
        # one sign: v' is zero at most once, where the integral of that rate has used up v'(0).
        tau_mem, tau_syn = self.module.tau_mem(), self.module.tau_syn()
        current = self.module.R() * deviation.s
        lead = self.slope(deviation) * tau_mem * tau_syn / torch.where(current == 0, torch.ones_like(current), current)
        argument = lead * (1 / tau_mem - 1 / tau_syn)
        turns = (current != 0) & (lead > 0) & (argument > -1)
        point = lead * log1prel(torch.where(turns, argument, torch.zeros_like(argument)))
        return [torch.where(turns, point, torch.zeros_like(point))]
