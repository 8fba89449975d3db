"""Recurrent networks from event to event."""

import heapq
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core.checks import positive_number
from ..core.state import Shared, State, map_state, register_state
from .arguments import as_current, as_tensor, finite, take_state
from .cells import check_neuron, event_cell
from .cells.base import SAME_TIME, EventCell, Neuron, pick, resting_state
from .event_list import Events, make_events, within


@register_state
class EventNetworkState(NamedTuple):
    """neuron: that of the neurons, [1, N], its refractory field in ms; underway: spikes that have yet to arrive.

    The times of the latter count from the moment of the state, ``unit`` is whom they reach, ``weight`` what they bring.
    """

    neuron: State
    underway: Shared


@dataclass
class _Fan:
    """Where the spikes of one neuron go after one delay."""

    delay: float
    targets: Tensor
    weights: Tensor


class EventNetwork:
    r"""A recurrent network of spiking neurons, simulated with an event queue; inference only, on the CPU.

    Between events nothing is computed: a neuron is advanced, in closed form, when a spike reaches it or when its own
    next spike is due. All that arrives at one time is added before thresholds are tested, as on the clock; so spikes
    on the grid give what ``Recurrent`` gives, and neurons with synaptic currents spike where the potential really
    crosses the threshold. Several threads may run one network, or several of one module, at once.

    Args:
        module: the neurons; ``LIF`` (delta currents), ``SynapticLIF`` (exponential) or ``AlphaLIF`` (alpha currents).
        weight: [N, N], onto i from j; zeros are no connections. Dense or ``torch.sparse_coo``.
        delay: ms, one for all or [N, N]; above zero.

    Raises:
        ValueError: if the weights are not square or not finite, a delay is not above zero and finite, or a parameter
            does not fit the neurons.
        TypeError: if the neuron has no closed form between events.

    Source: Brette et al. (2007), Simulation of networks of spiking neurons, J. Comput. Neurosci. 23:349.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> pair = EventNetwork(tdn.LIF(reset="zero"), torch.tensor([[0.0, 0.0], [30.0, 0.0]]), delay=1.5)
        >>> spikes, _ = pair.run(make_events([2.0], [0], [30.0]), duration=10.0)
        >>> spikes.time.tolist(), spikes.unit.tolist()
        ([2.0, 3.5], [0, 1])
    """

    def __init__(self, module: Neuron, weight: Tensor, delay: float | Tensor = 1.0):
        check_neuron(module)
        weight = as_tensor("EventNetwork", "weight", weight).detach()
        if weight.ndim != 2 or weight.shape[0] != weight.shape[1] or not weight.numel():
            raise ValueError(f"EventNetwork: expected weights [N, N], got {tuple(weight.shape)}; give a square matrix")
        if weight.is_cuda or module.v_th().is_cuda:
            raise ValueError("EventNetwork: expected neurons and weights on the CPU, got CUDA; call .cpu() on them")
        weight = (weight if weight.is_sparse else weight.to_sparse_coo()).coalesce()
        finite("EventNetwork", "weight", weight.values())
        self.module = module
        self.units = weight.shape[0]
        module.check_quantities(self._frame()[None])
        post, pre = weight.indices()
        self._fans = self._group(post, pre, weight.values(), self._delays(delay)[post, pre])

    def _frame(self) -> Tensor:
        return torch.zeros(1, self.units, dtype=self.module.v_th().dtype)

    def _delays(self, delay: Any) -> Tensor:
        delay = as_tensor("EventNetwork", "delay", delay, torch.float64).detach().double()
        wanted = (self.units, self.units)
        if delay.numel() > 1 and delay.shape != wanted:
            raise ValueError(
                f"EventNetwork: expected one delay or {wanted}, got shape {tuple(delay.shape)}; give one for all or "
                "one for each connection"
            )
        return delay if delay.shape == wanted else delay.reshape(()).expand(wanted)

    def _group(self, post: Tensor, pre: Tensor, weights: Tensor, delays: Tensor) -> list[list[_Fan]]:
        wrong = ~((delays > 0) & torch.isfinite(delays))
        if wrong.any():
            raise ValueError(
                f"EventNetwork: expected delays above 0 ms, got {delays[wrong][0].item():g}; a spike cannot arrive "
                "before it is fired: give a finite delay to every connection"
            )
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
    def initial_state(self) -> EventNetworkState:
        """The state at rest, with nothing underway."""
        nothing = torch.zeros(0, dtype=torch.float64)
        return EventNetworkState(
            resting_state(self.module, self._frame()), make_events(nothing, nothing.long(), nothing)
        )

    @torch.no_grad()
    def run(
        self,
        events: Events,
        duration: float,
        state: EventNetworkState | None = None,
        *,
        current: float | Tensor = 0.0,
    ) -> tuple[Events, EventNetworkState]:
        """Simulate.

        Args:
            events: spikes from outside, from 0 to ``duration``; ``unit`` is the neuron that each reaches, ``weight``
                what it brings.
            duration: ms.
            state: the state at time 0, as it was handed back: two runs give what one over both gives. If omitted at
                rest, or at the reset where the resting potential is not below the threshold.
            current: a constant current, in the unit of the neuron's synaptic one; one value or one for each neuron [N].

        Returns:
            The spikes of the network, and the state at the end.

        Raises:
            ValueError: if the events are not sorted, lie outside the run, or name a neuron that is not there; if the
                state or the current does not fit the neurons, or something is not finite.
        """
        duration = positive_number("EventNetwork", "duration", duration, zero=True, unit="ms")
        events = make_events(*events, units=self.units)
        within("EventNetwork", events, duration, SAME_TIME)
        check_neuron(self.module)
        frame = self._frame()
        neuron, underway = self._take(state)
        run = _Run(self, neuron, as_current("EventNetwork", current, frame[0]), duration)
        run.schedule_events(underway)
        run.schedule_events(events)
        return run.finish()

    def _take(self, state: Any) -> EventNetworkState:
        rest = self.initial_state()
        if state is None:
            return rest
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise ValueError(
                f"EventNetwork: expected a state of neurons and of spikes underway, got {type(state).__name__}; pass "
                "what run() handed back, or network.initial_state() with the neurons replaced"
            )
        underway = make_events(*state[1], units=self.units)
        if underway.time.numel() and underway.time[0] < 0:
            raise ValueError(
                f"EventNetwork: expected spikes underway to arrive from 0 ms on, got {underway.time[0]:g} ms; pass "
                "what run() handed back"
            )
        return EventNetworkState(take_state("EventNetwork", rest.neuron, state[0]), underway)


class _Run:
    """One simulation: the queue, the lazily advanced state, and the spikes so far."""

    def __init__(self, network: EventNetwork, state: State, current: Tensor, duration: float):
        self.network, self.duration = network, duration
        self.cell = event_cell(network.module, current)
        self.state = map_state(lambda leaf: leaf[0].clone(), state)
        self.seen = torch.zeros(network.units, dtype=torch.float64)
        self.version = [0] * network.units
        self.queue: list[tuple] = []
        self.order = 0
        self.times: list[float] = []
        self.sources: list[int] = []
        everyone = torch.arange(network.units)
        self.predict(self.cell, everyone, self.state, 0.0)

    def schedule(self, time: float, targets: Tensor, weights: Tensor) -> None:
        """Let weights arrive at targets."""
        self.order += 1
        heapq.heappush(self.queue, (time, self.order, targets, weights, None))

    def schedule_events(self, events: Events) -> None:
        times, sizes = events.time.unique_consecutive(return_counts=True)
        parts = zip(events.unit.split(sizes.tolist()), events.weight.split(sizes.tolist()), strict=True)
        for time, (targets, weights) in zip(times.tolist(), parts, strict=True):
            self.schedule(time, targets, weights)

    def predict(self, cell: EventCell, units: Tensor, state: State, now: float) -> None:
        """Queue the next spike that each of these neurons, at ``now``, will fire if nothing arrives before."""
        horizon = torch.full((units.numel(),), max(self.duration - now, 0.0), dtype=torch.float64)
        wait, _ = cell.next_spike(state, horizon.to(state.v.dtype))
        for unit, gap in zip(units.tolist(), wait.tolist(), strict=True):
            self.version[unit] += 1
            if gap != float("inf"):
                self.order += 1
                heapq.heappush(self.queue, (now + gap, self.order, unit, None, self.version[unit]))

    def bring_to(self, cell: EventCell, units: Tensor, now: float) -> State:
        """The state of these neurons at ``now``."""
        gap = (now - self.seen[units]).clamp(min=0).to(self.state.v.dtype)
        self.seen[units] = now
        return cell.advance(pick(self.state, units), gap)

    def finish(self) -> tuple[Events, EventNetworkState]:
        while self.queue and self.queue[0][0] <= self.duration + SAME_TIME:
            self.one_moment(self.queue[0][0])
        state = self.bring_to(self.cell, torch.arange(self.network.units), self.duration)
        time, unit = torch.tensor(self.times, dtype=torch.float64), torch.tensor(self.sources, dtype=torch.long)
        spikes = Events(time, unit, torch.ones_like(time))
        return spikes, EventNetworkState(map_state(lambda leaf: leaf[None], state), self.underway())

    def underway(self) -> Events:
        """What has been sent and will arrive after the end."""
        left = sorted(entry[:4] for entry in self.queue if entry[4] is None)
        times = torch.tensor([time - self.duration for time, *_ in left], dtype=torch.float64)
        targets = [torch.zeros(0, dtype=torch.long), *(whom for _, _, whom, _ in left)]
        weights = [torch.zeros(0, dtype=torch.float64), *(weight.double() for *_, weight in left)]
        sizes = torch.tensor([whom.numel() for whom in targets[1:]], dtype=torch.long)
        return Events(times.repeat_interleave(sizes), torch.cat(targets), torch.cat(weights))

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
        if touched.numel():
            self.move(touched, now, firing, targets, weights)

    def move(
        self, touched: Tensor, now: float, firing: list[int], targets: list[Tensor], weights: list[Tensor]
    ) -> None:
        """Bring neurons to ``now``, add what arrives, and let fire those that are due or have reached the threshold."""
        cell = self.cell.of(touched)
        state = self.bring_to(cell, touched, now)
        if targets:
            arriving = torch.zeros(self.network.units, dtype=state.v.dtype)
            arriving.index_add_(0, torch.cat(targets), torch.cat([weight.to(state.v.dtype) for weight in weights]))
            state = cell.receive(state, arriving[touched])
        due = torch.isin(touched, torch.tensor(firing, dtype=torch.long))
        free = cell.hold(state) <= SAME_TIME
        fired = (due | (state.v >= cell.module.v_th())) & free
        state = map_state(lambda new, old: torch.where(fired, new, old), cell.reset(state), state)
        map_state(lambda leaf, new: leaf.index_copy_(0, touched, new), self.state, state)
        for unit in touched[fired].tolist():
            self.times.append(now)
            self.sources.append(unit)
            for fan in self.network._fans[unit]:
                self.schedule(now + fan.delay, fan.targets, fan.weights)
        self.predict(cell, touched, state, now)
