"""The way back through a run: what the kernels take, and the gradients they leave."""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isqrt

import torch
from torch import Tensor

from ..fused.stepper import WIDEST, Recorded, Reverse
from ..native.compiler import arrays
from ..native.threads import threads_for
from .crossing import Crossings
from .drives import Current, Poisson
from .layout import Layout
from .packed import Packed, library

_OPERATIONS = 2000
"""Operations for each step of a network, at least; see ``threads_for``."""
_SHORTEST = 8
_CACHE = 3 << 20
"""Bytes of a segment."""
_MOST_KEPT = 1 << 28
"""Bytes of states."""
_MOST_SUMS = 1 << 18
"""Numbers of a block of steps, one for each neuron and step."""
_MOST_STATES = 64
"""Fields of a cell that the kernels have room for."""


@dataclass(frozen=True)
class Readout:
    """What is made of the spikes of a population.

    Args:
        population: its number.
        width: steps of a bin.
        decay: what is left of a filtered train after a step; ``None`` for numbers of spikes.
    """

    population: int
    width: int
    decay: float | None

    def powers(self, dtype: torch.dtype) -> Tensor:
        """What a spike counts for, so many steps before the end of its bin; up to the step before the bin."""
        return torch.tensor([1.0 if self.decay is None else self.decay**k for k in range(self.width + 1)], dtype=dtype)

    def of(self, step: Tensor, neuron: Tensor, steps: int, neurons: int, dtype: torch.dtype) -> Tensor:
        """From the spikes of the population, both counted from 0 on; [bins, neurons]."""
        bins, left = step.long() // self.width, self.width - 1 - step.long() % self.width
        found = torch.zeros(steps // self.width, neurons, dtype=dtype)
        found.view(-1).index_add_(0, bins * neurons + neuron.long(), self.powers(dtype)[left])
        if self.decay is not None:
            for before, now in pairwise(found):
                now.add_(before, alpha=self.decay**self.width)
        return found

    def back(self, gradient: Tensor) -> Tensor:
        """The gradient of a spike at the end of each bin."""
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        if self.decay is not None:
            for k in range(len(gradient) - 1, 0, -1):
                gradient[k - 1].add_(gradient[k], alpha=self.decay**self.width)
        return gradient


def segment_of(steps: int, longest: int, inputs: int, states: int) -> int:
    """Steps of a segment.

    As many as the caches nearby hold, at least a delay so that a row is cut once, and so many that what is kept has
    room.

    Args:
        steps: of the run.
        longest: delay.
        inputs, states: bytes of a step.
    """
    close = min(isqrt(steps), _CACHE // max(1, inputs + states))
    return max(1, min(steps, max(_SHORTEST, longest, close, -(-steps * states // _MOST_KEPT))))


@dataclass(frozen=True, eq=False)
class Way:
    """A run that may be gone back.

    Args:
        layout, packed: of the network.
        cells: the recorded step of each population; none of given spikes.
        drives: of all populations, with the number of the population, its input, the words and tensors of the kernels.
        begin, steps: the first step, and how many.
        every: steps of a segment.
        dt: ms.
        dtype: of the inputs.
        crossings: where the times of spikes have a gradient; of each population, none of given spikes.
        slowest: how fast a potential that crosses rises at least, per ms.
    """

    layout: Layout
    packed: Packed
    cells: Sequence[Recorded | None]
    drives: Sequence["Driven"]
    begin: int
    steps: int
    every: int
    dt: float
    dtype: torch.dtype
    crossings: Sequence[Crossings | None] = ()
    slowest: float = 0.0

    def fields(self) -> list[tuple[int, int]]:
        """What has to be kept: the numbers of population and field."""
        return [(n, k) for n, cell in enumerate(self.cells) if cell is not None for k in cell.plan.states]

    def back(
        self,
        reverses: Sequence[Reverse | None],
        kept: Sequence[Tensor],
        spikes: Tensor,
        weights: bool,
        wanted: Sequence[tuple[bool, bool]],
        read: Sequence[tuple[Readout, Tensor]],
        watched: Sequence[tuple[int, int, Tensor, Tensor]],
        times: Tensor | None,
    ) -> "Found":
        """The gradients.

        Args:
            reverses: the derivative of each step.
            kept: what was kept of :meth:`fields`.
            spikes: of the run and of what had not arrived before it.
            weights: whether their gradient is wanted.
            wanted: of each drive, whether the sum of the gradients of its input is, and that with numbers of spikes.
            read: readouts with their gradients.
            watched: number of the population, of the field, neurons and gradients.
            times: gradients of the times of the spikes of the run.
        """
        found = Found(torch.zeros_like(self.packed.weights) if weights else None)
        self._call(found, reverses, kept, spikes, wanted, read, watched, times)
        return found

    def shares(self, reverses: Sequence[Reverse | None], kept: Sequence[Tensor], spikes: Tensor) -> Tensor:
        """After what share of its step each spike of the run came, all of it for given ones; arguments as above."""
        begin = int(torch.searchsorted(spikes[:, 0].contiguous(), self.begin))
        shares = torch.ones(len(spikes) - begin, dtype=self.dtype)
        wanted = [(False, False)] * len(self.drives)
        self._call(Found(None), reverses, kept, spikes, wanted, (), (), shares, looks=True)
        return shares

    def _call(
        self,
        found: "Found",
        reverses: Sequence[Reverse | None],
        kept: Sequence[Tensor],
        spikes: Tensor,
        wanted: Sequence[tuple[bool, bool]],
        read: Sequence[tuple[Readout, Tensor]],
        watched: Sequence[tuple[int, int, Tensor, Tensor]],
        times: Tensor | None,
        looks: bool = False,
    ) -> None:
        layout, longest = self.layout, self.packed.delays[0]
        end, owners = self.begin + self.steps, layout.owners
        starts = torch.searchsorted(spikes[:, 0].contiguous(), torch.arange(self.begin - longest, end + 1).int())
        lines = torch.empty(self.every + longest + 1, max(1, sum(layout.widths)), dtype=self.dtype)
        figures = torch.zeros(owners, 3, dtype=torch.int64)
        sizes = [min(owners, threads_for(_OPERATIONS * self.steps)), owners, len(self.cells), self.begin, end]
        sizes += [longest, self.every, layout.total, len(self.drives), len(read), len(watched)]
        together = max(1, min(self.packed.delays[-1], self.every, _MOST_SUMS // layout.total))
        sizes += [together, len(self.crossings), looks, *layout.widths]
        tensors = [self.packed.places, self.packed.weights, self.packed.offsets, spikes.contiguous(), starts]
        tensors += [found.weights, lines, figures]
        functions: list[int | None] = []
        remaining = iter(kept)
        for number, (cell, reverse) in enumerate(zip(self.cells, reverses, strict=True)):
            neurons, first = layout.neurons[number], layout.first(number)
            if cell is None:
                functions += [None, None]
                sizes += [first, neurons, 0, 0, 0, 0, 0, 0, *layout.ranges(number)]
                tensors.append(None)
                continue
            functions += [reverse.replay, reverse.reverse]
            plan, length = cell.plan, -(-neurons // WIDEST) * WIDEST
            fields = [plan.graph.states[k] for k in plan.states]
            rooms = [torch.empty(self.every + 1, length, dtype=node.dtype) for node in fields]
            output = torch.zeros(length, dtype=plan.graph.output_gradients[0].dtype)
            states = [torch.zeros(length, dtype=plan.graph.states[k].dtype) for k in plan.carried]
            learned = [torch.zeros(length, dtype=plan.graph.summed_as(k)) for k in cell.learned]
            found.states.append(dict(zip(plan.carried, states, strict=True)))
            found.values.append(dict(zip(cell.learned, learned, strict=True)))
            sizes += [first, neurons, length, len(plan.graph.inputs), len(reverse.held), len(fields), len(states)]
            sizes += [len(learned), *(room.element_size() for room in rooms), *layout.ranges(number)]
            tensors += [*reverse.held, *(next(remaining) for _ in fields), *rooms, output, *states, *learned]
        found.fill(self.cells)
        for drive, (summed, counted) in zip(self.drives, wanted, strict=True):
            count = layout.neurons[drive.population]
            own = [torch.zeros(count, dtype=self.dtype) if each else None for each in (summed or counted, counted)]
            found.drives.append(own)
            sizes += drive.words
            tensors += [*drive.tensors, *drive.counts, *own]
        for readout, gradient in read:
            sizes += [readout.population, readout.width]
            tensors += [readout.back(gradient), readout.powers(self.dtype)]
        for number, place, neurons, gradient in watched:
            sizes += [number, place, len(neurons)]
            tensors += [neurons, gradient.contiguous()]
        tensors += [None if times is None else times.to(self.dtype).contiguous()]
        tensors += [torch.tensor([self.dt, self.slowest * self.dt], dtype=torch.float64)]
        for crossings, cell in zip(self.crossings, self.cells, strict=False):
            functions.append(None if crossings is None else crossings.stepper.address)
            sizes += [0, 0, 0, 0] if crossings is None else crossings.words(cell)
            tensors += [] if crossings is None else crossings.tensors()
        addresses = (ctypes.c_void_p * len(functions))(*functions)
        library(self.dtype).reverse_network(addresses, *arrays(tensors, sizes))
        found.walked, found.events, found.grazing = figures.sum(0).tolist()


@dataclass
class Found:
    """Gradients: of the weights as they are packed; of each population, by number, of its fields and of its values for
    each neuron; of each drive, what its input got, and that times the numbers of spikes. And how many parts of rows
    were walked, of how many synapses, and at how many crossings the potential was not found to rise.
    """

    weights: Tensor | None
    states: list[dict[int, Tensor]] = field(default_factory=list)
    values: list[dict[int, Tensor]] = field(default_factory=list)
    drives: list[list[Tensor | None]] = field(default_factory=list)
    walked: int = 0
    events: int = 0
    grazing: int = 0

    def fill(self, cells: Sequence[Recorded | None]) -> None:
        """Put nothing in the places of given spikes."""
        for group in (self.states, self.values):
            own = iter(list(group))
            group[:] = [{} if cell is None else next(own) for cell in cells]


@dataclass(frozen=True, eq=False)
class Driven:
    """A drive as the kernels take it, as it was in the run.

    Args:
        population: its number.
        words, tensors: of its numbers.
        counts: the tensors of numbers of spikes.
        weight, mean: of a Poisson drive.
    """

    population: int
    words: Sequence[int]
    tensors: Sequence[Tensor | None]
    counts: Sequence[Tensor | None]
    weight: float = 0.0
    mean: float = 0.0

    @classmethod
    def of(
        cls, drive: Poisson | Current, words: Sequence[int], tensors: Sequence[Tensor | None], dt: float
    ) -> "Driven":
        """With the words and tensors of an engine."""
        if isinstance(drive, Current):
            return cls(words[0], words, tensors, [None] * len(tensors))
        counts = [*drive.table(dt, tensors[1].dtype, 1.0), None]
        return cls(words[0], words, tensors, counts, float(drive.weight), drive.mean(dt))

    def gradients(self, dt: float, summed: Tensor, counted: Tensor | None) -> Mapping[str, Tensor]:
        """Of its numbers, by name."""
        if counted is None:
            return {"value": summed}
        # Half of 1 + k / mean; a drive without spikes has nothing but its mean.
        slope = (summed + counted / self.mean) / 2 if self.mean else summed
        return {"rate": (self.weight * dt / 1000 * slope).sum(), "weight": counted.sum()}


def check_room(fields: int, owner: str) -> None:
    """Raise if a cell has more fields than there is room for."""
    if fields > _MOST_STATES:
        raise ValueError(
            f"SpikingNetwork: expected at most {_MOST_STATES} fields in the state of {owner}, got {fields}; take a "
            "Network"
        )
