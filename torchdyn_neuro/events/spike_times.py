"""From input spike times to output spike times, with the exact gradient."""

from typing import Any

import torch
from torch import Tensor

from ..core.checks import positive_number, whole_number
from ..core.state import State, map_state
from .arguments import as_current, as_floats, finite, take_state
from .cells import EventCell, check_neuron, event_cell
from .cells.base import Neuron, pick, resting_state, select
from .restrict import restricted


def spike_times(
    module: Neuron,
    time: Tensor,
    weight: Tensor,
    duration: float,
    state: State = None,
    *,
    current: float | Tensor = 0.0,
    most_spikes: int = 1,
) -> Tensor:
    r"""Spike times of a layer of neurons that receive weighted events, exactly, between and beyond any grid.

    The gradient is the exact one of the event-driven system, as EventProp's: a spike time moves with the potential by
    the implicit function theorem, :math:`dt^* = -dv(t^*) / \dot v(t^*)`, and the state is carried through the reset.
    A neuron is followed until it has fired ``most_spikes`` times. All that arrives at one time is added before the
    threshold is tested. Several threads may use one module at once.

    Args:
        module: the neurons; ``LIF``, ``SynapticLIF`` or ``AlphaLIF``.
        time: times of the inputs, ms, [B, K], from 0 on, ascending in each row; infinity where there is no event.
        weight: what each event adds to each neuron, [B, K, N] or [1, K, N].
        duration: end of the simulation, ms; what comes later has no effect.
        state: the state at time 0, [B, N], its refractory field in ms. If omitted at rest, or at the reset where the
            resting potential is not below the threshold.
        current: a constant current, in the unit of the neuron's synaptic one; broadcasts to [B, N].
        most_spikes: number M of spikes that are returned for each neuron.

    Returns:
        Spike times, [B, N, M], ascending; infinity where a neuron has fired less often.

    Raises:
        ValueError: if the times are not sorted, or before 0, if weights or the current are not finite, if shapes or the
            state do not fit, or if ``duration`` or ``most_spikes`` is out of range.
        TypeError: if the neuron has no closed form between events, or types do not fit.

    Source: Wunderlich & Pehl (2021), Event-based backpropagation can compute exact gradients for spiking neural
    networks, Scientific Reports 11:12829.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> nothing = torch.zeros(1, 0), torch.zeros(1, 0, 1)
        >>> spike_times(tdn.LIF(10.0), *nothing, duration=50.0, current=2.0, most_spikes=3)
        tensor([[[ 6.9315, 13.8629, 20.7944]]])
    """
    check_neuron(module)
    duration = positive_number("spike_times", "duration", duration, zero=True, unit="ms")
    most_spikes = whole_number("spike_times", "most_spikes", most_spikes, 1)
    time, weight = _inputs(module, time, weight)
    frame = time.new_zeros(time.shape[0], weight.shape[-1])
    module.check_quantities(frame[None])
    current = as_current("spike_times", current, frame)
    rest = resting_state(module, frame)
    state = rest if state is None else take_state("spike_times", rest, state)

    rows, units = torch.arange(frame.numel(), device=frame.device).view_as(frame), frame.shape[1]
    cell = event_cell(restricted(module, rows.flatten() % units), current.flatten() if current.ndim else current)
    layer = _Layer(cell, map_state(torch.Tensor.flatten, state), frame.flatten(), most_spikes)
    for k in range(time.shape[1]):
        arrives = (time[:, k, None] <= duration).expand_as(frame).flatten()
        if not layer.places.numel() or not arrives.any():
            break
        layer.receive(arrives, time[:, k, None].expand_as(frame).flatten(), weight[:, k].expand_as(frame).flatten())
    layer.move(torch.full_like(layer.now, duration), last=True)
    return layer.table().view(*frame.shape, most_spikes)


def _inputs(module: Neuron, time: Any, weight: Any) -> tuple[Tensor, Tensor]:
    """Checked times [B, K] and weights [B or 1, K, N]."""
    like = module.v_th().detach()
    time, weight = as_floats("spike_times", "time", time, like), as_floats("spike_times", "weight", weight, like)
    if time.ndim != 2 or weight.ndim != 3 or weight.shape[1] != time.shape[1] or weight.shape[0] not in (1, len(time)):
        raise ValueError(
            f"spike_times: expected time [B, K] and weight [B, K, N], got {tuple(time.shape)} and "
            f"{tuple(weight.shape)}; give one weight per event and neuron"
        )
    if torch.isnan(time).any() or (time[:, 1:] < time[:, :-1]).any():
        raise ValueError("spike_times: expected times in ascending order in each row, got others; sort them first")
    if (time < 0).any():
        raise ValueError(
            f"spike_times: expected times from 0 on, got {time.min().item():g} ms; the simulation starts at 0: shift "
            "them, or start from a state"
        )
    finite("spike_times", "weight", weight)
    return time, weight


class _Layer:
    """Neurons on their way from event to event; those that have fired often enough are left behind.

    Args:
        cell: all neurons.
        state: their state at time 0, [P].
        now: time 0 for each.
        most: after how many spikes a neuron is left behind.
    """

    def __init__(self, cell: EventCell, state: State, now: Tensor, most: int):
        self.cell, self.state, self.now, self.most = cell, state, now, most
        self.places = torch.arange(now.numel(), device=now.device)
        self.counts = torch.zeros_like(self.places)
        self.like = now
        self.spikes: list[tuple[Tensor, Tensor, Tensor]] = []

    def receive(self, arrives: Tensor, time: Tensor, weight: Tensor) -> None:
        """Move to the next event of each neuron for which one ``arrives``, and take it."""
        self.move(torch.where(arrives[self.places], time[self.places], self.now))
        arrived = self.cell.receive(self.state, weight[self.places])
        self.state = select(arrives[self.places], arrived, self.state)

    def move(self, end: Tensor, *, last: bool = False) -> None:
        """Move to ``end``, through all spikes before it; those at ``end`` itself wait for arrivals if any may come."""
        cell, state, now = self.cell, self.state, self.now
        seats = torch.arange(end.numel(), device=end.device)
        calm: list[tuple[Tensor, State]] = []
        while seats.numel():
            gap = end[seats] - now
            wait, rises = cell.next_spike(state, gap.detach())
            fires = torch.isfinite(wait) & ((gap.detach() > 0) | last)
            if not fires.any():
                calm.append((seats, cell.advance(state, gap)))
                break
            quiet, firing = (~fires).nonzero()[:, 0], fires.nonzero()[:, 0]
            if quiet.numel():
                calm.append((seats[quiet], cell.of(quiet).advance(pick(state, quiet), gap[quiet])))
            cell, state, now, seats = cell.of(firing), pick(state, firing), now[firing], seats[firing]
            wait = cell.with_gradient(state, wait[firing], rises[firing])
            state, now = cell.reset(cell.advance(state, wait)), now + wait
            more = self._spike(self.places[seats], now)
            if more.numel() < seats.numel():
                cell, state, now, seats = cell.of(more), pick(state, more), now[more], seats[more]
        self._gather(calm, end)

    def _spike(self, places: Tensor, times: Tensor) -> Tensor:
        """Note a spike of each neuron in ``places``; which of them may fire again."""
        rank = self.counts[places]
        self.counts[places] = rank + 1
        self.spikes.append((places, rank, times))
        return (rank + 1 < self.most).nonzero()[:, 0]

    def _gather(self, calm: list[tuple[Tensor, State]], end: Tensor) -> None:
        if len(calm) == 1 and calm[0][0].numel() == end.numel():
            self.state, self.now = calm[0][1], end
            return
        seats = torch.cat([part for part, _ in calm]) if calm else self.places[:0]
        order = seats.argsort()
        kept = seats[order]
        states = [state for _, state in calm] or [pick(self.state, kept)]
        self.state = map_state(lambda *parts: torch.cat(parts)[order], *states)
        self.now = end[kept]
        if kept.numel() < end.numel():
            self.places, self.cell = self.places[kept], self.cell.of(kept)

    def table(self) -> Tensor:
        """The times of all spikes, [P, M]; infinity where there was none."""
        absent = self.like.new_full((self.counts.numel(), self.most), torch.inf)
        if not self.spikes:
            return absent
        places, ranks, times = (torch.cat(part) for part in zip(*self.spikes, strict=True))
        return absent.index_put((places, ranks), times)
