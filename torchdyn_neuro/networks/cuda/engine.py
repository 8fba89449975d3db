"""Many steps of a network on a CUDA device, launched as one."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...core.state import State, fill, leaves
from ...fused.operators.cuda_graph import record_on_cuda
from ...fused.stepper import Recorded
from ...native.compiler import CompilerUnavailableError
from ..engine import Figures
from ..layout import Layout
from ..packed import Packed
from ..population import Population
from ..spike_source import SpikeSource
from .groups import Group, driven, groups_of, state_of
from .synapses import on_device

_STEPS = 200
"""Steps of a recording: between two of them the host fetches spikes."""
_ROOM = 1 << 26
"""Spikes that there is room for in a recording, where one step of all neurons does not need more."""
_FEW, _MANY = (32, 1), (128, 4)
"""Neurons of a block and its warps, for few neurons and for many."""
_FEW_NEURONS = 1 << 15
_WIDEST = 512
"""Synapses that a program takes at a time."""
_PARTS = 16
"""Programs that share a row, at most."""
_PER_PROCESSOR = 4
"""Programs that deliver, for each processor of the device."""


class CudaEngine:
    """What :class:`~torchdyn_neuro.networks.engine.Engine` is on a CPU.

    A step is one kernel for all populations with one equation, and one that delivers. What arrives in a step waits in
    one of as many slots as the longest delay has steps, as whole numbers, whose sum does not depend on the order of
    atomic additions. A step has a list of spikes with room for all neurons, so it never overflows.

    Args:
        layout: of the neurons.
        packed: its synapses.
        populations: in their order.
        steps: of each, none of given spikes.
        streams: of each population's drives.
        cells: the states to start from, on the CPU.
        watched: the number of the population, that of the field among the tensors of its state, and the neurons.
        dt: ms.
        dtype: of the inputs.
        device: on which it runs; on a CPU the kernels run in Triton's interpreter, if that was chosen.
    """

    changing = ()
    processes = None
    first = True

    def __init__(
        self,
        layout: Layout,
        packed: Packed,
        populations: Sequence[Population | SpikeSource],
        steps: Sequence[Recorded | None],
        streams: Sequence[Sequence[int]],
        cells: Sequence[State],
        watched: Sequence[tuple[int, int, Tensor]],
        dt: float,
        dtype: torch.dtype,
        device: torch.device,
    ):
        try:
            from . import kernels
            from .update import update_kernel
        except ImportError as error:
            raise CompilerUnavailableError(f"SpikingNetwork: Triton cannot be imported ({error})") from None
        self.kernels, self.update = kernels, update_kernel
        self.layout, self.cells, self.device, self.figures = layout, tuple(cells), device, Figures()
        self.on_card = device.type == "cuda"
        self.groups = groups_of(steps, layout)
        self.synapses = on_device(packed, layout, self.groups, device)
        self.row, self.slots = self.groups[-1].end, packed.delays[0]
        self.sums = torch.zeros(self.slots * self.row, dtype=self.synapses.sums, device=device)
        self.unit = torch.tensor(self.synapses.unit, dtype=dtype, device=device)
        self.held = [state_of(group, cells, device) for group in self.groups]
        self.block, self.warps = _FEW if self.on_card and layout.total < _FEW_NEURONS else _MANY
        self.tables = [
            (group.blocks(layout, self.block, device), driven(group, populations, streams, dt, dtype, device))
            for group in self.groups
        ]
        self.fixed = [group.held(steps, device) for group in self.groups]
        self._take_given(populations, dt)
        self.watched = [self._watched(*each) for each in watched]
        self.traces: list[Tensor] = []
        self.clock = torch.zeros(2, dtype=torch.int64, device=device)
        self.count, self.at = 0, -1
        self.replay: Callable[[], None] | None = None

    def _take_given(self, populations: Sequence[Population | SpikeSource], dt: float) -> None:
        lists = [
            population.on_grid(dt).cpu() + torch.tensor([0, self.layout.first(number)], dtype=torch.int32)
            for number, population in enumerate(populations)
            if population.cell is None
        ]
        self.given = None
        if lists:
            every = torch.cat(lists)
            steps, order = every[:, 0].to(torch.int64).sort(stable=True)
            self.given = steps.to(self.device), every[order, 1].contiguous().to(self.device)

    def _watched(self, number: int, leaf: int, neurons: Tensor) -> tuple[Tensor, Tensor]:
        """A field, and the places of the neurons in it."""
        for group, held in zip(self.groups, self.held, strict=True):
            if number in group.numbers:
                first = group.places[group.numbers.index(number)]
                return held[leaf], (neurons.cpu() + first).to(torch.int32).to(self.device)
        raise ValueError(f"CudaEngine: expected to watch a population with states, got number {number}")

    def _make_room(self, steps: int) -> None:
        total = self.layout.total
        self.count = max(1, min(_STEPS, steps, _ROOM // total))
        self.found = torch.zeros(self.count, dtype=torch.int32, device=self.device)
        self.record = torch.empty(self.count * total, dtype=torch.int32, device=self.device)
        self.borders = torch.zeros(self.count + 1, dtype=torch.int64, device=self.device)
        self.traces = [field.new_zeros(self.count, len(places)) for field, places in self.watched]

    def run(self, begin: int, steps: int, recent: Tensor) -> tuple[int, Tensor, list[Tensor]]:
        """Take so many steps; arguments and results are those of ``Engine.run``."""
        with torch.cuda.device_of(self.sums):
            if begin != self.at:
                self._start(begin, recent)
            if not self.count:
                self._make_room(steps)
            if self.on_card and self.replay is None:
                # What is launched before it is recorded has no step to take.
                self.clock.zero_()
                self.replay, _ = record_on_cuda(lambda: self._launch(self.count))
            self.clock.copy_(torch.tensor([begin, begin + steps]))
            spikes, traces, waiting = [], [[] for _ in self.watched], None
            for at in range(begin, begin + steps, self.count):
                now = min(self.count, begin + steps - at)
                self._launch(now) if self.replay is None else self.replay()
                if waiting is not None:
                    # While the device is at work.
                    spikes.append(self._ordered(*waiting))
                waiting = at, *self._fetched(now)
                for trace, found in zip(traces, self.traces, strict=True):
                    trace.append(found[:now].to("cpu", copy=True))
            spikes.append(self._ordered(*waiting))
            self.at = begin + steps
            return steps, torch.cat(spikes), [torch.cat(trace) for trace in traces]

    def _fetched(self, steps: int) -> tuple[Tensor, Tensor]:
        """How many spikes each step has, and their neurons, [steps, most]."""
        counts = self.found[:steps].to("cpu", copy=True)
        most = int(counts.max())
        return counts, self.record.view(self.count, -1)[:steps, :most].to("cpu", copy=True)

    def _ordered(self, begin: int, counts: Tensor, neurons: Tensor) -> Tensor:
        beyond = torch.arange(neurons.shape[1]) >= counts[:, None]
        neurons = neurons.masked_fill(beyond, 2**31 - 1).sort(1).values[~beyond]
        steps = torch.arange(begin, begin + len(counts), dtype=torch.int32).repeat_interleave(counts)
        self.figures.events += int(self.synapses.lengths[neurons].sum())
        return torch.stack([steps, neurons], 1)

    def _start(self, begin: int, recent: Tensor) -> None:
        """Put what spikes of earlier steps bring into the slots of the steps in which it arrives."""
        self.sums.zero_()
        recent = recent[recent[:, 0] >= begin - self.slots].contiguous().to(self.device)
        if len(recent) and len(self.synapses.words):
            rows = self.synapses.starts, self.synapses.words, self.synapses.weights, self.sums
            sizes = len(recent), begin, self.row, self.slots, self.synapses.bits
            grid = min(len(recent), self._programs)
            self._run(self.kernels.deliver_late, grid, recent, *rows, *sizes, BLOCK=self._wide)

    def _launch(self, steps: int) -> list[Tensor | None]:
        """All kernels of so many steps."""
        self.found.zero_()
        if self.given is not None:
            when = self.clock[:1] + torch.arange(len(self.borders), device=self.device)
            torch.searchsorted(self.given[0], when, out=self.borders)
        synapses, total = self.synapses, self.layout.total
        parts = max(1, min(_PARTS, -(-len(synapses.words) // (total * self._wide))))
        rows = synapses.starts, synapses.words, synapses.weights, self.sums
        for k in range(steps):
            for group, held, fixed, tables in zip(self.groups, self.held, self.fixed, self.tables, strict=True):
                self._move(k, group, tables, (*held, *fixed))
            if self.given is not None:
                given = self.clock, self.borders, self.given[1], self.found, self.record, k, total
                self._run(self.kernels.give, 4 if self.on_card else 1, *given, BLOCK=128)
            if len(synapses.words):
                sizes = k, total, self.row, self.slots, synapses.bits
                constants = {"SPLIT": parts, "BLOCK": self._wide}
                spikes = self.clock, self.found, self.record
                self._run(self.kernels.deliver, self._programs, *spikes, *rows, *sizes, **constants)
            for (field, places), trace in zip(self.watched, self.traces, strict=True):
                if len(places):
                    seen = self.clock, field, places, trace, k, len(places)
                    self._run(self.kernels.look, -(-len(places) // 128), *seen, BLOCK=128)
        self.clock[:1].add_(self.count)
        return []

    def _move(self, k: int, group: Group, tables: tuple[Tensor, list[Tensor]], held: Sequence[Tensor]) -> None:
        blocks, drives = tables
        around = self.clock, self.sums, self.unit, blocks, self.found, self.record
        sizes = k, self.layout.total, self.row, self.slots, group.first, group.width
        arguments = *around, *drives, *held, *sizes
        self._run(self.update(group.plan), len(blocks), *arguments, BLOCK=self.block, warps=self.warps)

    @property
    def _programs(self) -> int:
        if not self.on_card:
            return 2
        return _PER_PROCESSOR * torch.cuda.get_device_properties(self.device).multi_processor_count

    @property
    def _wide(self) -> int:
        """Synapses that a program takes at a time: a row, or a part of it."""
        mean = len(self.synapses.words) // self.layout.total
        return min(_WIDEST, max(128, 1 << mean.bit_length()))

    def _run(self, kernel: Any, grid: int, *arguments: Any, warps: int = 4, **constants: Any) -> None:
        # A product and a sum are rounded apart, as on a CPU.
        options = {"num_warps": warps, "enable_fp_fusion": False} if self.on_card else {}
        try:
            kernel[grid, 1, 1](*arguments, **constants, **options)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise CompilerUnavailableError(
                f"SpikingNetwork: Triton cannot run the network on this device ({error}); call net.cpu() to run it"
                " there"
            ) from error

    def without_number(self) -> list[int]:
        """Of each population how many neurons have NaN in their state."""
        found = [0] * len(self.cells)
        fields = [[x for x in held if x.is_floating_point()] for held in self.held]
        # Sums first: they are quick, and NaN where one is.
        sums = [x.sum(dtype=torch.float64) for each in fields for x in each]
        if sums and bool(torch.stack(sums).isnan().any()):
            for group, each in zip(self.groups, fields, strict=True):
                for number, begin in zip(group.numbers, group.places, strict=False):
                    own = [x[begin : begin + self.layout.neurons[number]].isnan() for x in each]
                    found[number] = int(torch.stack(own).any(0).sum()) if own else 0
        return found

    def states(self) -> tuple[State, ...]:
        """The states of the populations as they are now, on the CPU."""
        found: list[State] = list(self.cells)
        for group, held in zip(self.groups, self.held, strict=True):
            for number, begin in zip(group.numbers, group.places, strict=False):
                state, end = self.cells[number], begin + self.layout.neurons[number]
                parts = zip(held, leaves(state), strict=True)
                found[number] = fill(state, [x[begin:end].cpu().reshape(leaf.shape) for x, leaf in parts])
        return tuple(found)
