"""Many steps of a network on a CUDA device, launched as one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...core.state import State, fill, leaves
from ...fused.operators.cuda_graph import record_on_cuda
from ...native.compiler import CompilerUnavailableError
from ..engine import Figures
from ..layout import Layout
from .loaded import Loaded
from .synapses import DeviceSynapses

_STEPS = 200
"""Steps of a recording: between two of them the host fetches spikes."""
_ROOM = 1 << 26
"""Spikes that there is room for in a recording, where one step of all neurons does not need more."""
_WIDEST = 512
"""Synapses that a program takes at a time."""
_PARTS = 16
"""Programs that share a row, at most."""
_OVERLAP = False
_PER_PROCESSOR = 4
"""Programs that deliver, for each processor of the device."""


class CudaEngine:
    """What :class:`~torchdyn_neuro.networks.engine.Engine` is on a CPU.

    A step is one kernel for all populations with one equation, and one that delivers. What arrives in a step waits in
    one of as many slots as the longest delay has steps, as whole numbers, whose sum does not depend on the order of
    atomic additions. A step has a list of spikes with room for all neurons, so it never overflows.

    Args:
        layout: of the neurons.
        slots: the longest delay, steps.
        synapses: on the device.
        loaded: what it begins with.
        dtype: of the inputs.
        device: on which it runs; on a CPU the kernels run in Triton's interpreter, if that was chosen.
    """

    changing = ()
    processes = None
    first = True

    def __init__(
        self,
        layout: Layout,
        slots: int,
        synapses: DeviceSynapses,
        loaded: Loaded,
        dtype: torch.dtype,
        device: torch.device,
    ):
        try:
            from . import kernels
            from .update import update_kernel
        except ImportError as error:
            raise CompilerUnavailableError(f"SpikingNetwork: Triton cannot be imported ({error})") from None
        self.kernels, self.update = kernels, update_kernel
        self.layout, self.slots, self.synapses, self.device = layout, slots, synapses, device
        self.on_card, self.kind = device.type == "cuda", loaded.kind
        # From Hopper on a kernel may be started before the one before it has ended, and wait for that itself.
        self.overlaps = _OVERLAP and self.on_card and torch.cuda.get_device_capability(device) >= (9, 0)
        self.here = _moved(loaded, device)
        self.row = loaded.groups[-1].end
        self.sums = torch.zeros(slots * self.row, dtype=synapses.sums, device=device)
        self.unit = torch.tensor(synapses.unit, dtype=dtype, device=device)
        self.clock = torch.zeros(2, dtype=torch.int64, device=device)
        self.watched = [self.here.states[group][leaf] for group, leaf in loaded.fields]
        self.traces: list[Tensor] = []
        self.count = 0
        self.replay: Callable[[], None] | None = None
        self.begin(loaded)

    def begin(self, loaded: Loaded) -> None:
        """Begin anew, from something of the same kind."""
        for place, tensor in zip(self.here.tensors, loaded.tensors, strict=True):
            place.copy_(tensor)
        self.cells, self.figures, self.at = loaded.cells, Figures(), -1

    def _make_room(self, steps: int) -> None:
        total, self.replay = self.layout.total, None
        self.count = steps
        self.found = torch.zeros(steps, dtype=torch.int32, device=self.device)
        self.record = torch.empty(steps * total, dtype=torch.int32, device=self.device)
        self.borders = torch.zeros(steps + 1, dtype=torch.int64, device=self.device)
        self.traces = [
            field.new_zeros(steps, len(places)) for field, places in zip(self.watched, self.here.places, strict=True)
        ]

    def run(self, begin: int, steps: int, recent: Tensor) -> tuple[int, Tensor, list[Tensor]]:
        """Take so many steps; arguments and results are those of ``Engine.run``."""
        with torch.cuda.device_of(self.sums):
            if begin != self.at:
                self._start(begin, recent)
            wanted = max(1, min(_STEPS, steps, _ROOM // self.layout.total))
            if wanted > self.count:
                self._make_room(wanted)
            if self.on_card and self.replay is None:
                # What is launched before it is recorded has no step to take.
                self.clock.zero_()
                self.replay, _ = record_on_cuda(lambda: self._launch(self.count))
            self.clock.copy_(torch.tensor([begin, begin + steps]))
            spikes, traces, waiting = [], [[] for _ in self.traces], None
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
            sizes = len(recent), begin, self.row, self.slots, self.synapses.bits
            grid = min(len(recent), self._programs)
            self._run(self.kernels.deliver_late, grid, recent, *self._rows, *sizes, BLOCK=self._wide)

    def _launch(self, steps: int) -> list[Tensor | None]:
        """All kernels of so many steps."""
        # A kernel, where zero_ is none: the next one may overlap with kernels alone.
        self.found.fill_(0)
        if self.here.given:
            when = self.clock[:1] + torch.arange(len(self.borders), device=self.device)
            torch.searchsorted(self.here.given[0], when, out=self.borders)
        for k in range(steps):
            self._step(k)
        self.clock[:1].add_(self.count)
        return []

    def _step(self, k: int) -> None:
        here, total, spikes = self.here, self.layout.total, (self.found, self.record)
        for n, group in enumerate(here.groups):
            around = self.clock, self.sums, self.unit, here.blocks[n], *spikes
            sizes = k, total, self.row, self.slots, group.first, group.width
            arguments = *around, *here.drives[n], *here.states[n], *here.fixed[n], *sizes
            constants = {"BLOCK": here.block, "OVERLAP": self.overlaps}
            self._run(self.update(group.plan), len(here.blocks[n]), *arguments, warps=here.warps, **constants)
        if here.given:
            given = self.clock, self.borders, here.given[1], *spikes, k, total
            self._run(self.kernels.give, 4 if self.on_card else 1, *given, BLOCK=128)
        if len(self.synapses.words):
            sizes = k, total, self.row, self.slots, self.synapses.bits
            parts = max(1, min(_PARTS, -(-len(self.synapses.words) // (total * self._wide))))
            arguments = self.clock, *spikes, *self._rows, *sizes
            constants = {"SPLIT": parts, "BLOCK": self._wide, "OVERLAP": self.overlaps}
            self._run(self.kernels.deliver, self._programs, *arguments, **constants)
        for field, places, trace in zip(self.watched, here.places, self.traces, strict=True):
            if len(places):
                seen = self.clock, field, places, trace, k, len(places)
                self._run(self.kernels.look, -(-len(places) // 128), *seen, BLOCK=128)

    @property
    def _rows(self) -> tuple[Tensor, ...]:
        return self.synapses.starts, self.synapses.words, self.synapses.weights, self.sums

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
        if constants.get("OVERLAP"):
            options["launch_pdl"] = True
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
        fields = [[x for x in states if x.is_floating_point()] for states in self.here.states]
        # Sums first: they are quick, and NaN where one is.
        sums = [x.sum(dtype=torch.float64) for each in fields for x in each]
        if sums and bool(torch.stack(sums).isnan().any()):
            for group, each in zip(self.here.groups, fields, strict=True):
                for number, begin in zip(group.numbers, group.places, strict=False):
                    own = [x[begin : begin + self.layout.neurons[number]].isnan() for x in each]
                    found[number] = int(torch.stack(own).any(0).sum()) if own else 0
        return found

    def states(self) -> tuple[State, ...]:
        """The states of the populations as they are now, on the CPU."""
        found: list[State] = list(self.cells)
        for group, states in zip(self.here.groups, self.here.states, strict=True):
            whole = [x.to("cpu", copy=True) for x in states]
            for number, begin in zip(group.numbers, group.places, strict=False):
                state, end = self.cells[number], begin + self.layout.neurons[number]
                parts = zip(whole, leaves(state), strict=True)
                found[number] = fill(state, [x[begin:end].clone().reshape(leaf.shape) for x, leaf in parts])
        return tuple(found)


def _moved(loaded: Loaded, device: torch.device) -> Loaded:
    """Room for the same on a device."""

    def like(tensors: Sequence[Tensor]) -> list[Tensor]:
        return [torch.empty_like(tensor, device=device) for tensor in tensors]

    nested = {name: [like(part) for part in getattr(loaded, name)] for name in ("drives", "states", "fixed")}
    flat = {name: like(getattr(loaded, name)) for name in ("blocks", "given", "places")}
    return replace(loaded, cells=(), **nested, **flat)
