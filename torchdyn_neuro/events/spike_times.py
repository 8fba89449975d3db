"""From input spike times to output spike times, with the exact gradient."""

import torch
from torch import Tensor

from ..core.spiking import Spiking
from ..core.state import State
from .cells import EventCell, event_cell, pick, put, select
from .restrict import restricted


def spike_times(module: Spiking, time: Tensor, weight: Tensor, duration: float, *, most_spikes: int = 1) -> Tensor:
    r"""Spike times of a layer of neurons that receive weighted events, exactly, between and beyond any grid.

    The gradient is the exact one of the event-driven system, as EventProp's: a spike time moves with the potential by
    the implicit function theorem, :math:`dt^* = -dv(t^*) / \dot v(t^*)`, and the state is carried through the reset.

    Args:
        module: the neurons; ``LIF``, ``SynapticLIF`` or ``AlphaLIF``.
        time: times of the inputs, ms, [B, K], ascending in each row; infinity where there is no event.
        weight: what each event adds to each neuron, [B, K, N] or broadcastable.
        duration: end of the simulation, ms.
        most_spikes: number M of spikes that are returned for each neuron.

    Returns:
        Spike times, [B, N, M], ascending; infinity where a neuron has fired less often.

    Raises:
        ValueError: if the times are not sorted, or shapes do not fit.

    Source: Wunderlich & Pehl (2021), Event-based backpropagation can compute exact gradients for spiking neural
    networks, Scientific Reports 11:12829.
    """
    if time.ndim != 2 or weight.ndim != 3 or weight.shape[1] != time.shape[1]:
        raise ValueError(
            f"spike_times: expected time [B, K] and weight [B, K, N], got {tuple(time.shape)} and {tuple(weight.shape)}"
        )
    if torch.isnan(time).any() or (time[:, 1:] < time[:, :-1]).any():
        raise ValueError("spike_times: expected times in ascending order in each row, got others; sort them first")
    cell = event_cell(module)
    with restricted(module):
        state = cell.initial_state(time.new_zeros(time.shape[0], weight.shape[-1]))
        now = torch.zeros_like(state.v)
        everyone = torch.arange(now.numel(), device=now.device).view_as(now)
        spikes = _Spikes(now, most_spikes)
        for k in range(time.shape[1]):
            arrives = (time[:, k : k + 1] <= duration).expand_as(now)
            end = torch.where(arrives, time[:, k : k + 1], now)
            state, now = _run_until(cell, state, now, end, everyone, spikes), end
            state = select(arrives, cell.receive(state, weight[:, k]), state)
        _run_until(cell, state, now, torch.full_like(now, duration), everyone, spikes)
    return spikes.table()


class _Spikes:
    """The spikes so far of neurons [B, N], at most so many of each, in the order of their times."""

    def __init__(self, like: Tensor, most: int):
        self.like, self.most = like, most
        self.counts = torch.zeros(like.numel(), dtype=torch.long, device=like.device)
        self.places: list[Tensor] = []
        self.ranks: list[Tensor] = []
        self.times: list[Tensor] = []

    def add(self, places: Tensor, times: Tensor) -> None:
        """One spike of each neuron in ``places``, which are indices into the flattened layer."""
        rank = self.counts[places]
        self.counts[places] += 1
        kept = rank < self.most
        self.places.append(places[kept])
        self.ranks.append(rank[kept])
        self.times.append(times[kept])

    def table(self) -> Tensor:
        """Times [B, N, M]; infinity where there was no spike."""
        absent = self.like.new_full((self.like.numel(), self.most), torch.inf)
        if self.times:
            absent = absent.index_put((torch.cat(self.places), torch.cat(self.ranks)), torch.cat(self.times))
        return absent.view(*self.like.shape, self.most)


def _run_until(cell: EventCell, state: State, now: Tensor, end: Tensor, places: Tensor, spikes: _Spikes) -> State:
    """The state at ``end``; those that spike before are taken on from each spike to the next, by themselves."""
    wait, rises = cell.next_spike(state, (end - now).detach())
    final = cell.advance(state, end - now)
    fired = torch.isfinite(wait).nonzero(as_tuple=True)
    if not fired[0].numel():
        return final
    with restricted(cell.module, fired[-1]):
        part, places = pick(state, fired), places[fired]
        wait = _with_gradient(cell, part, wait[fired], rises[fired])
        part, now = cell.reset(cell.advance(part, wait)), now[fired] + wait
        spikes.add(places, now)
        part = _run_until(cell, part, now, end[fired], places, spikes)
    return put(final, fired, part)


def _with_gradient(cell: EventCell, state: State, wait: Tensor, crosses: Tensor) -> Tensor:
    """The same times, with the gradient of the root of the potential: one Newton step whose slope is held fixed."""
    reached = cell.advance(state, wait)
    slope = torch.where(crosses, cell.slope(reached).detach(), torch.ones_like(wait))
    excess = torch.where(crosses, cell.height(reached), torch.zeros_like(wait)) / slope
    return wait - (excess - excess.detach())
