"""Many steps of a network in one call."""

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..core.state import State, fill, leaves
from ..fused.stepper import WIDEST, Stepper
from ..native.compiler import arrays
from ..native.threads import threads_for
from .changing import Held
from .drives import Poisson
from .layout import Layout
from .packed import Packed, library
from .population import Population
from .processes import Exchange, Processes
from .spike_source import SpikeSource

_FIGURES = 5
_ROOM = 1 << 16
"""Spikes of an owner that there is room for, at least."""
_OPERATIONS = 1000
"""Operations for each step of a network, at least; see ``threads_for``."""


@dataclass
class Figures:
    """What a run cost.

    Args:
        events: synapses that spikes went through, those of no weight that fill a group up included.
        chunks: groups of them with one source, owner and delay.
        delivering, updating, waiting: share of the time of all threads.
    """

    events: int = 0
    chunks: int = 0
    delivering: float = 0.0
    updating: float = 0.0
    waiting: float = 0.0
    ticks: list[int] = field(default_factory=lambda: [0, 0, 0])

    def add(self, figures: Tensor) -> None:
        """Count what the kernels counted, int64 [owners, 5]."""
        events, chunks, *ticks = figures.sum(0).tolist()
        self.events, self.chunks = self.events + events, self.chunks + chunks
        self.ticks = [old + new for old, new in zip(self.ticks, ticks, strict=True)]
        whole = max(1, sum(self.ticks))
        self.delivering, self.updating, self.waiting = (count / whole for count in self.ticks)


class Engine:
    """A network that is ready to run: its states lie in arrays that the kernels change in place.

    Args:
        layout: of the neurons.
        packed: its synapses.
        populations: in their order.
        steppers: the step of each, none of given spikes.
        streams: of each population's drives.
        cells: the states to start from.
        watched: what is kept after each step: the number of the population, that of the field among the tensors of its
            state, and the neurons, int64.
        dt: ms.
        dtype: of the inputs.
        changing: the projections whose synapses change.
        processes: that share the neurons, if there are others.
    """

    piece = 1000
    """Steps between two looks at the clock, at most."""

    def __init__(
        self,
        layout: Layout,
        packed: Packed,
        populations: Sequence[Population | SpikeSource],
        steppers: Sequence[Stepper | None],
        streams: Sequence[Sequence[int]],
        cells: Sequence[State],
        watched: Sequence[tuple[int, int, Tensor]],
        dt: float,
        dtype: torch.dtype,
        changing: Sequence[Held] = (),
        processes: Processes | None = None,
    ):
        self.layout, self.packed, self.cells, self.dtype = layout, packed, tuple(cells), dtype
        self.watched, self.changing = watched, changing
        self.kept, self.every, self.origin = (), 1, 0
        self.held = [[_padded(leaf) for leaf in leaves(state)] for state in cells]
        self.figures = Figures()
        self.processes, self.exchange = processes, None
        self.counted = torch.zeros(layout.owners * (_FIGURES + 1), dtype=torch.int64)
        self.room = max(4 * layout.most, _ROOM)
        if processes is not None:
            self.exchange = Exchange(processes, self._recorded, layout.total, packed.delays[-1])
            self.room = max(self.room, self.exchange.interval * layout.most)
        function = self.exchange and ctypes.cast(self.exchange.function, ctypes.c_void_p).value
        steps = [each and each.address for each in steppers]
        self.functions = (ctypes.c_void_p * (len(steps) + 1))(*steps, function)
        self.steppers = steppers
        self.arrived = torch.zeros(max(1, sum(layout.widths)), dtype=dtype)
        frozen = packed.scale is not None
        self.sums = torch.zeros(self.arrived.shape, dtype=torch.int32) if frozen else self.arrived
        self.scale = torch.tensor(packed.scale if frozen else 1.0, dtype=dtype)
        self.record = torch.empty(layout.owners, self.room, 2, dtype=torch.int32)
        self.tensors: list[Tensor | None] = []
        self.words: list[int] = []
        self.of_drives: list[tuple[list[int], list[Tensor | None]]] = []
        for number, (population, state, each) in enumerate(zip(populations, self.held, steppers, strict=True)):
            own = [population.on_grid(dt)] if each is None else [*state, *each.held]
            spikes = len(own[0]) if each is None else 0
            self.tensors += own
            self.words += [layout.first(number), population.neurons, len(population.inputs), len(own), spikes]
            self.words += layout.ranges(number)
        self.drives = 0
        for number, (population, own) in enumerate(zip(populations, streams, strict=True)):
            for drive, stream in zip(population.drives, own, strict=True):
                self.drives += 1
                poisson = isinstance(drive, Poisson)
                current = None if poisson else drive.values(population.neurons, dtype)
                words = [number, population.place(drive.receptor), stream, drive.draws(dt) if poisson else 0]
                words.append(0 if poisson else int(current.numel() > 1))
                tensors = [*(drive.table(dt, dtype) if poisson else (None, None, None)), current]
                self.of_drives.append((words, tensors))
                self.words += words
                self.tensors += tensors

    def driven(self) -> tuple[list[list[int]], list[list[Tensor | None]]]:
        """The words and the tensors of each drive."""
        return [words for words, _ in self.of_drives], [tensors for _, tensors in self.of_drives]

    def keep(self, fields: Sequence[tuple[int, int]], every: int, begin: int, steps: int) -> list[Tensor]:
        """From now on keep fields every so many steps, as they are before the step.

        Args:
            fields: the number of the population and that of the field of each.
            every: so many.
            begin: the first step.
            steps: how many will be taken.

        Returns:
            What will be kept of each, [times, length].
        """
        times = -(-steps // every)
        held = [self.held[number][leaf] for number, leaf in fields]
        found = [torch.zeros(times, *leaf.shape, dtype=leaf.dtype) for leaf in held]
        self.kept = [(number, leaf, to) for (number, _), leaf, to in zip(fields, held, found, strict=True)]
        self.every, self.origin = every, begin
        return found

    def run(self, begin: int, steps: int, recent: Tensor) -> tuple[int, Tensor, list[Tensor]]:
        """Take at most so many steps.

        Args:
            begin: the number of the first.
            steps: how many.
            recent: the spikes of the steps before that may not have arrived, int32 [spikes, 2].

        Returns:
            How many steps were taken, their spikes (step, neuron) in all processes, in order, int32 [spikes, 2], and
            what is watched, [steps, neurons].
        """
        layout, packed = self.layout, self.packed
        threads = min(layout.owners, threads_for(_OPERATIONS * steps))
        counted, exchange, recent = self.counted.zero_(), self.exchange, recent.contiguous()
        if exchange is not None:
            exchange.start(begin)
        sizes = [threads, layout.owners, len(layout.neurons), begin, steps, packed.delays[0], layout.total]
        sizes += [len(recent), self.room, len(packed.delays), self.drives]
        # Where processes meet there is always room.
        sizes += [len(self.watched), *((exchange.interval, 0) if exchange is not None else (0, layout.most))]
        sizes += [len(self.kept), self.every, self.origin]
        sizes += [*layout.widths, *packed.delays, *self.words]
        traces = [torch.zeros(steps, len(neurons), dtype=self.dtype) for _, _, neurons in self.watched]
        watches = []
        for (number, leaf, neurons), trace in zip(self.watched, traces, strict=True):
            sizes += [number, len(neurons)]
            watches += [self.held[number][leaf], neurons, trace]
        for number, leaf, to in self.kept:
            sizes += [number, leaf.element_size(), len(leaf)]
            watches += [leaf, to]
        sizes.append(len(self.changing))
        for each in self.changing:
            sizes += each.rows.words
            watches += each.tensors
        tensors = [
            packed.places,
            packed.weights,
            packed.offsets,
            recent,
            self.record,
            counted,
            self.arrived,
            self.sums,
            self.scale,
        ]
        taken = library(self.dtype, packed.scale is not None).run_network(
            self.functions, *arrays([*tensors, *self.tensors, *watches], sizes)
        )
        self.figures.add(counted[: layout.owners * _FIGURES].reshape(layout.owners, _FIGURES))
        if exchange is not None:
            return taken, exchange.finish(), [self.processes.whole(trace) for trace in traces]
        spikes = self._recorded()
        order = torch.argsort(spikes[:, 0].to(torch.int64) * layout.total + spikes[:, 1])
        return taken, spikes[order], [trace[:taken] for trace in traces]

    def _recorded(self) -> Tensor:
        """The spikes of all owners, int32 [spikes, 2]."""
        counts = self.counted[self.layout.owners * _FIGURES :].tolist()
        return torch.cat([self.record[k, :count] for k, count in enumerate(counts)])

    def without_number(self) -> list[int]:
        """Of each population how many neurons have NaN in their state."""
        found = []
        for state, held in zip(self.cells, self.held, strict=True):
            own = [x[: leaf.shape[-1]] for x, leaf in zip(held, leaves(state), strict=True) if x.is_floating_point()]
            # A sum first: it is quick, and NaN where one is.
            if any(math.isnan(x.sum().item()) for x in own):
                found.append(int(torch.stack([x.isnan() for x in own]).any(0).sum()))
            else:
                found.append(0)
        if self.processes is not None:
            found = torch.stack(self.processes.gathered(torch.tensor(found))).sum(0).tolist()
        return found

    @property
    def first(self) -> bool:
        """Whether this process is the first, or there are no others."""
        return self.processes is None or self.processes.rank == 0

    def states(self) -> tuple[State, ...]:
        """The states of the populations as they are now."""
        found = []
        for number, (state, held) in enumerate(zip(self.cells, self.held, strict=True)):
            values = [x[: leaf.shape[-1]].clone() for x, leaf in zip(held, leaves(state), strict=True)]
            if self.processes is not None:
                begin, *_, end = self.layout.borders(number)
                for value in values:
                    value[:begin] = value[end:] = 0
                    self.processes.whole(value)
            values = [value.reshape(leaf.shape) for value, leaf in zip(values, leaves(state), strict=True)]
            found.append(fill(state, values))
        return tuple(found)


def _padded(leaf: Tensor) -> Tensor:
    length = leaf.shape[-1]
    room = torch.zeros(-(-length // WIDEST) * WIDEST, dtype=leaf.dtype)
    room[:length] = leaf.detach().reshape(-1)
    return room
