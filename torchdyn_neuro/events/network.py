"""Recurrent networks from event to event."""

import heapq
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.spiking import Spiking
from ..core.state import State, map_state
from .cells import SAME_TIME, event_cell
from .event_list import Events, make_events
from .restrict import restricted


@dataclass
class _Fan:
    """Where the spikes of one neuron go after one delay."""

    delay: float
    targets: Tensor
    weights: Tensor


class EventNetwork:
    r"""A recurrent network of spiking neurons, simulated with an event queue; inference only.

    Between events nothing is computed: a neuron is advanced, in closed form, when a spike reaches it or when its own
    next spike is due. All that arrives at one time is added before thresholds are tested, as on the clock; so spikes
    on the grid give what ``Recurrent`` gives, and neurons with synaptic currents spike where the potential really
    crosses the threshold.

    Args:
        module: the neurons; ``LIF`` (delta currents), ``SynapticLIF`` (exponential) or ``AlphaLIF`` (alpha currents).
        weight: [N, N], onto i from j; zeros are no connections. Dense or ``torch.sparse_coo``.
        delay: ms, one for all or [N, N]; above zero.

    Raises:
        ValueError: if the weights are not square, or a delay is not above zero.
        TypeError: if the neuron has no closed form between events.

    Source: Brette et al. (2007), Simulation of networks of spiking neurons, J. Comput. Neurosci. 23:349.
    """

    def __init__(self, module: Spiking, weight: Tensor, delay: float | Tensor = 1.0):
        weight = (weight.to_sparse_coo() if not weight.is_sparse else weight).coalesce().detach()
        if weight.ndim != 2 or weight.shape[0] != weight.shape[1]:
            raise ValueError(f"EventNetwork: expected weights [N, N], got {tuple(weight.shape)}; give a square matrix")
        post, pre = weight.indices()
        delay = torch.as_tensor(delay, dtype=torch.float64)
        delays = (delay.expand(weight.shape))[post, pre]
        if not (delays > 0).all():
            raise ValueError("EventNetwork: expected delays above 0 ms, got others; a spike cannot arrive before it")
        self.cell = event_cell(module)
        self.units = weight.shape[0]
        self._fans = self._group(post, pre, weight.values(), delays)

    def _group(self, post: Tensor, pre: Tensor, weights: Tensor, delays: Tensor) -> list[list[_Fan]]:
        fans: list[list[_Fan]] = [[] for _ in range(self.units)]
        # By neuron, and by delay within each: two stable sorts, so that no neuron searches all connections.
        order = delays.argsort(stable=True)
        order = order[pre[order].argsort(stable=True)]
        groups, sizes = torch.stack([pre[order].double(), delays[order]], 1).unique_consecutive(
            dim=0, return_counts=True
        )
        parts = zip(post[order].split(sizes.tolist()), weights[order].split(sizes.tolist()), strict=True)
        for (unit, delay), (targets, strengths) in zip(groups.tolist(), parts, strict=True):
            fans[int(unit)].append(_Fan(delay, targets, strengths))
        return fans

    @torch.no_grad()
    def run(self, events: Events, duration: float, state: State = None) -> tuple[Events, State]:
        """Simulate.

        Args:
            events: spikes from outside; ``unit`` is the neuron that each reaches, ``weight`` what it brings.
            duration: ms.
            state: the state at time 0; at rest if omitted.

        Returns:
            The spikes of the network, and the state at the end.

        Raises:
            ValueError: if the events are not sorted, or name a neuron that is not there.
        """
        events = make_events(*events, units=self.units)
        like = torch.zeros(1, self.units, dtype=self.cell.module.v_th().dtype)
        run = _Run(self, self.cell.initial_state(like) if state is None else state, duration)
        for index, time in enumerate(events.time.tolist()):
            if time <= duration:
                run.schedule(time, events.unit[index : index + 1], events.weight[index : index + 1])
        return run.finish()


class _Run:
    """One simulation: the queue, the lazily advanced state, and the spikes so far."""

    def __init__(self, network: EventNetwork, state: State, duration: float):
        self.network, self.cell, self.duration = network, network.cell, duration
        self.state = map_state(torch.clone, state)
        self.seen = torch.zeros(network.units, dtype=torch.float64)
        self.version = [0] * network.units
        self.queue: list[tuple] = []
        self.order = 0
        self.times: list[float] = []
        self.sources: list[int] = []
        self.predict(torch.arange(network.units), 0.0)

    def schedule(self, time: float, targets: Tensor, weights: Tensor) -> None:
        """Let weights arrive at targets."""
        self.order += 1
        heapq.heappush(self.queue, (time, self.order, targets, weights, None))

    def predict(self, units: Tensor, now: float) -> None:
        """Queue the next spike that each of these neurons, at ``now``, will fire if nothing arrives before."""
        horizon = torch.full((1, units.numel()), self.duration - now, dtype=torch.float64)
        wait, _ = self.cell.next_spike(self.select(units), horizon.to(self.state.v.dtype))
        for unit, gap in zip(units.tolist(), wait[0].tolist(), strict=True):
            self.version[unit] += 1
            if gap != float("inf"):
                self.order += 1
                heapq.heappush(self.queue, (now + gap, self.order, unit, None, self.version[unit]))

    def select(self, units: Tensor) -> State:
        return map_state(lambda leaf: leaf[:, units], self.state)

    def place(self, units: Tensor, state: State) -> None:
        map_state(lambda leaf, new: leaf.index_copy_(1, units, new), self.state, state)

    def bring_to(self, units: Tensor, now: float) -> State:
        """The state of these neurons at ``now``."""
        gap = (now - self.seen[units])[None].clamp(min=0).to(self.state.v.dtype)
        self.seen[units] = now
        return self.cell.advance(self.select(units), gap)

    def finish(self) -> tuple[Events, State]:
        while self.queue and self.queue[0][0] <= self.duration + SAME_TIME:
            self.one_moment(self.queue[0][0])
        everything = torch.arange(self.network.units)
        self.place(everything, self.bring_to(everything, self.duration))
        time, unit = torch.tensor(self.times, dtype=torch.float64), torch.tensor(self.sources, dtype=torch.long)
        return Events(time, unit, torch.ones_like(time)), self.state

    def one_moment(self, now: float) -> None:
        """All that happens at one time: arrivals first, then thresholds."""
        firing: list[int] = []
        targets: list[Tensor] = []
        weights: list[Tensor] = []
        while self.queue and self.queue[0][0] <= now + SAME_TIME:
            _, _, whom, weight, version = heapq.heappop(self.queue)
            if version is None:
                targets.append(whom)
                weights.append(weight)
            elif version == self.version[whom]:
                firing.append(whom)
        touched = torch.cat([*targets, torch.tensor(firing, dtype=torch.long)]).unique()
        if not touched.numel():
            return
        with restricted(self.cell.module, touched):
            self.move(touched, now, firing, targets, weights)

    def move(
        self, touched: Tensor, now: float, firing: list[int], targets: list[Tensor], weights: list[Tensor]
    ) -> None:
        """Bring neurons to ``now``, add what arrives, and let fire those that are due or have reached the threshold."""
        state = self.bring_to(touched, now)
        if targets:
            arriving = torch.zeros(self.network.units, dtype=state.v.dtype)
            arriving.index_add_(0, torch.cat(targets), torch.cat(weights).to(state.v.dtype))
            state = self.cell.receive(state, arriving[touched][None])
        due = torch.isin(touched, torch.tensor(firing, dtype=torch.long))
        free = self.cell.hold(state)[0] <= SAME_TIME
        fired = (due | (state.v[0] >= self.cell.module.v_th())) & free
        state = map_state(lambda new, old: torch.where(fired, new, old), self.cell.reset(state), state)
        self.place(touched, state)
        for unit in touched[fired].tolist():
            self.times.append(now)
            self.sources.append(unit)
            for fan in self.network._fans[unit]:
                if now + fan.delay <= self.duration + SAME_TIME:
                    self.schedule(now + fan.delay, fan.targets, fan.weights)
        self.predict(touched, now)
