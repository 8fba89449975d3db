"""A run as one operation of torch, with its derivative."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core.checks import whole_number
from ..core.spiking import Spiking
from ..core.state import State, fill, leaves
from ..fused.stepper import Recorded
from .backward import Driven, Readout, Way, segment_of
from .crossing import Crossings
from .drives import tensors_of
from .engine import Engine
from .population import Population
from .projection import Projection
from .running import Running, SpikingNetworkState
from .spikes import Spikes

MOST_WITHOUT_SUPPORT = 10_000
"""Neurons of a surrogate that is zero nowhere: each step would walk all of their rows."""


class Simulated(NamedTuple):
    """What came of a run, with a gradient but for spikes and state.

    counts: spikes in each bin, [bins, neurons], by population; filtered: exponentially filtered trains at the ends of
    the bins, likewise, empty without ``tau``; traces: what is watched, [steps, neurons], by population and field;
    spikes: all of them; state: after the run; work: filled in by the backward pass, how many ``rows`` were walked, and
    of how many ``synapses``, those of no weight that fill a group up included, and at how many crossings the potential
    was not found to rise (``grazing``); times: of each of the spikes, ms, between the steps, empty unless asked for.
    """

    counts: Mapping[str, Tensor]
    filtered: Mapping[str, Tensor]
    traces: Mapping[str, Mapping[str, Tensor]]
    spikes: Spikes
    state: SpikingNetworkState
    work: dict[str, int]
    times: Tensor

    def rates(self, name: str) -> Tensor:
        """The mean rate of each neuron of a population, Hz, [neurons]."""
        return self.counts[name].sum(0) * (1000.0 / ((self.spikes.end - self.spikes.begin) * self.spikes.dt))

    def spike_times(self, name: str, most: int = 1) -> Tensor:
        """When each neuron of a population spiked first, second, ..., ms, [neurons, most]; infinity where it did not.

        Raises:
            ValueError: if the run was not told to return ``times``.
        """
        if len(self.times) < len(self.spikes):
            raise ValueError(
                "Simulated: expected a run that returns the times of its spikes, got one without; call "
                "simulate(..., gradient='spike_times', times=True)"
            )
        most = whole_number("Simulated", "most", most, 1)
        own, neuron = self.spikes.of(name)
        order = torch.argsort(neuron, stable=True)
        own, neuron = own[order], neuron[order].to(torch.int64)
        rank = torch.arange(len(own)) - torch.searchsorted(neuron, neuron)
        found = torch.full((self.spikes.populations[name], most), math.inf, dtype=self.times.dtype)
        kept = rank < most
        return found.index_put((neuron[kept], rank[kept]), self.times[own[kept]])


def check_support(populations: Mapping[str, Population]) -> None:
    """Raise if surrogates whose slope is zero nowhere would make a network walk too many rows."""
    wide = {}
    for name, population in populations.items():
        cell = population.cell
        surrogates = [] if cell is None else [m.surrogate for m in cell.modules() if isinstance(m, Spiking)]
        for surrogate in surrogates:
            if math.isinf(surrogate.support):
                wide[name] = surrogate
    count = sum(populations[name].neurons for name in wide)
    if count > MOST_WITHOUT_SUPPORT:
        name, surrogate = next(iter(wide.items()))
        raise ValueError(
            f"SpikingNetwork: expected surrogates whose slope is zero away from the threshold for more than "
            f"{MOST_WITHOUT_SUPPORT} neurons, got {surrogate} in {name}, under which every step walks the rows of all "
            f"{count}; give the cells e.g. Triangular(width) or Rectangular(width)"
        )


def check_unchanging(projections: Sequence[Projection]) -> None:
    """Raise if synapses change, of which there is no derivative."""
    for projection in projections:
        if projection.changes:
            raise ValueError(
                f"SpikingNetwork: expected synapses that stay for gradients, got release= or plasticity= in "
                f"{projection.title}; leave it out, run under torch.no_grad(), or take a Network"
            )


@dataclass(eq=False)
class Simulation:
    """A run to be differentiated.

    Args:
        engine: makes one of the cells with values as they are, and of their states.
        running: what goes along with it.
        populations: in their order.
        cells: the recorded step of each.
        state: to start from.
        steps: how many.
        readouts: what is made of spikes.
        watched: number of the population, that of the field, neurons.
        training: whether there may be a gradient.
        tell: is told of progress.
        crossings: of each population, where the gradient is that of the times of spikes.
        slowest: least rise of a potential that crosses, per ms.
        times: whether times are returned.
        way: back.
    """

    engine: Callable[[Sequence[State]], Engine]
    running: Running
    populations: Sequence[Any]
    cells: Sequence[Recorded | None]
    state: SpikingNetworkState
    steps: int
    readouts: Sequence[Readout]
    watched: Sequence[tuple[int, int, Tensor]]
    learned: Sequence[tuple[int, Tensor]]
    training: bool
    tell: Callable[[float, float], None] | None
    crossings: Sequence[Crossings | None] = ()
    slowest: float = 0.0
    times: bool = False

    def operands(self) -> list[Tensor]:
        """All that may have a gradient: values of cells, first states, weights, numbers of drives."""
        found = [value for cell in self.cells if cell is not None for value in cell.values]
        found += [leaf for cell in self.state.cells for leaf in leaves(cell)]
        found += [weight for _, weight in self.learned]
        return [*found, *(value for drive in self._drives() for value in tensors_of(drive).values())]

    def _drives(self) -> Iterator[Any]:
        return (drive for population in self.populations for drive in population.drives)

    def run(self) -> tuple[list[Tensor], list[Tensor]]:
        """Readouts and traces, and what the way back needs."""
        state, begin = self.state, int(self.state.step)
        engine = self.engine(state.cells)
        inputs = sum(engine.layout.widths) * engine.dtype.itemsize
        plans = [(cell.plan, cell.frame[-1]) for cell in self.cells if cell is not None]
        states = sum(count * plan.graph.states[k].dtype.itemsize for plan, count in plans for k in plan.states)
        self.way = Way(
            layout=engine.layout,
            packed=engine.packed,
            cells=self.cells,
            drives=[Driven.of(*each, self.running.dt) for each in zip(self._drives(), *engine.driven(), strict=True)],
            begin=begin,
            steps=self.steps,
            every=segment_of(self.steps, engine.packed.delays[0], inputs, states),
            dt=self.running.dt,
            dtype=engine.dtype,
            crossings=self.crossings,
            slowest=self.slowest,
        )
        kept = []
        if self.training or self.times:
            kept = engine.keep(self.way.fields(), self.way.every, begin, self.steps)
        self.after = self.running.run(engine, state, self.steps, True, self.tell, None, self.steps)
        spikes: Spikes = self.after.spikes
        results = []
        for readout in self.readouts:
            first, count = engine.layout.first(readout.population), engine.layout.neurons[readout.population]
            own = (spikes.neuron >= first) & (spikes.neuron < first + count)
            where = spikes.step[own] - begin, spikes.neuron[own] - first
            results.append(readout.of(*where, self.steps, count, engine.dtype))
        traces = [trace for fields in self.after.traces.values() for trace in fields.values()]
        fired = torch.cat([state.recent, torch.stack([spikes.step, spikes.neuron], 1)])
        times = torch.empty(0, dtype=torch.float64)
        if self.times:
            reverses = [None if cell is None else cell.reverse(cell.values) for cell in self.cells]
            times = (spikes.step + self.way.shares(reverses, kept, fired).double()) * self.running.dt
        return [*results, *traces, times], [fired, *kept]


class Simulate(torch.autograd.Function):
    """From a :class:`Simulation` and its operands to its results."""

    @staticmethod
    def forward(ctx: Any, job: Simulation, work: dict[str, int], *operands: Tensor) -> tuple[Tensor, ...]:
        results, kept = job.run()
        ctx.job, ctx.work, ctx.count = job, work, len(operands)
        ctx.set_materialize_grads(False)
        if job.crossings:
            # However a spike moves, their number stays.
            counts = [result for result, readout in zip(results, job.readouts, strict=False) if readout.decay is None]
            ctx.mark_non_differentiable(*counts)
        ctx.save_for_backward(*operands, *kept)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "SpikingNetwork: expected no derivatives of its gradients, got create_graph=True; leave it out, or "
                "take a Network"
            )
        job: Simulation = ctx.job
        way, needed = job.way, ctx.needs_input_grad[2:]
        operands, (spikes, *kept) = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        remaining = iter(zip(operands, needed, strict=True))
        groups = [[next(remaining) for _ in cell.values] if cell is not None else [] for cell in job.cells]
        states = [[next(remaining) for _ in leaves(cell)] for cell in job.state.cells]
        weights = [next(remaining) for _ in job.learned]
        drives = [{name: next(remaining) for name in tensors_of(drive)} for drive in job._drives()]
        # The network may have learned since.
        for (number, _), (weight, _) in zip(job.learned, weights, strict=True):
            way.packed.weights[way.packed.listed[number]] = weight
        reverses = [
            None if cell is None else cell.reverse([value for value, _ in group])
            for cell, group in zip(job.cells, groups, strict=True)
        ]
        read = [
            (r, g)
            for r, g in zip(job.readouts, gradients, strict=False)
            if g is not None and (r.decay is not None or not job.crossings)
        ]
        watched = []
        *traces, times = gradients[len(job.readouts) :]
        for (number, leaf, neurons), gradient in zip(job.watched, traces, strict=True):
            carried = job.cells[number].plan.carried
            if gradient is not None and leaf in carried:
                watched.append((number, carried.index(leaf), neurons, gradient))
        wanted = [
            (any(want for _, want in own.values()), any(own[name][1] for name in own if name != "value"))
            for own in drives
        ]
        found = way.back(reverses, kept, spikes, any(want for _, want in weights), wanted, read, watched, times)
        ctx.work.update(rows=found.walked, synapses=found.events)
        if job.crossings:
            ctx.work.update(grazing=found.grazing)
        results: list[Tensor | None] = []
        for cell, sums, group in zip(job.cells, found.values, groups, strict=True):
            results += [cell.summed(k, sums[k]) if k in sums and want else None for k, (_, want) in enumerate(group)]
        for own, group in zip(found.states, states, strict=True):
            for k, (leaf, want) in enumerate(group):
                results.append(own[k][: leaf.shape[-1]].reshape(leaf.shape) if k in own and want else None)
        for (number, _), (_, want) in zip(job.learned, weights, strict=True):
            results.append(found.weights[way.packed.listed[number]] if want else None)
        for drive, own, sums in zip(way.drives, drives, found.drives, strict=True):
            named = drive.gradients(way.dt, *sums) if sums[0] is not None else {}
            for name, (value, want) in own.items():
                gradient = named[name].sum() if want and value.numel() == 1 else named.get(name)
                results.append(gradient.reshape(value.shape).to(value.dtype) if want else None)
        return None, None, *results


def detached(state: SpikingNetworkState) -> SpikingNetworkState:
    """A state without a gradient."""
    return state._replace(cells=tuple(fill(cell, [leaf.detach() for leaf in leaves(cell)]) for cell in state.cells))
