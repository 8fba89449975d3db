"""Many steps of a network on a CUDA device, launched as one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.state import State, fill, leaves
from ...fused.operators.cuda_graph import record_on_cuda
from ...native.compiler import CompilerUnavailableError
from ..engine import Figures
from ..layout import Layout
from .loaded import Loaded
from .synapses import DeviceSynapses

_STEPS = 500
"""Steps of a recording: between two of them the host fetches spikes."""
_ROOM = 1 << 20
"""Spikes that there is room for in a recording, where one step of all neurons does not need more."""
_LIKELY = 1 << 12
"""Spikes that the host fetches at once, at least."""
_WIDEST = 512
"""Synapses that a program takes at a time."""
_PARTS = 16
"""Programs that share a row, at most."""
_PER_PROCESSOR = 4
"""Programs that deliver, for each processor of the device."""
_MOST_OVERLAPPING = 1 << 15
"""Neurons up to which a kernel is started before the one before it has ended, and waits for that itself: 4,000 took 3.3
us a step in place of 4.3 (H100), 23,000 6.7 in place of 7.3, 77,000 with .3 billion synapses 12.3 in place of 10.2."""


class CudaEngine:
    """What :class:`~torchdyn_neuro.networks.engine.Engine` is on a CPU.

    A step is one kernel for all populations with one equation, and one that delivers. What arrives in a step waits in
    one of as many slots as the longest delay has steps, as whole numbers, whose sum does not depend on the order of
    atomic additions. Where the list of spikes may have no room for those of another step, in which all neurons might
    spike, the steps that were launched end, and the next ones begin with an empty list.

    Args:
        layout: of the neurons.
        slots: the longest delay, steps.
        synapses: on the device.
        loaded: what it begins with.
        dtype: of the inputs.
        device: on which it runs; on a CPU the kernels run in Triton's interpreter, if that was chosen.
    """

    piece = 10_000
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
        self.overlaps = self.on_card and layout.total < _MOST_OVERLAPPING and _may_overlap(device)
        self.here = _moved(loaded, device)
        self.row = loaded.groups[-1].end
        self.sums = torch.zeros(slots * self.row, dtype=synapses.sums, device=device)
        self.lengths = synapses.lengths.numpy()
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
        """Room for a recording of so many steps: what the host reads of it lies together."""
        self.count, self.replay = steps, None
        head, self.room = 2 * steps + 3, max(2 * self.layout.total, _ROOM)
        memory = torch.zeros(head + self.room, dtype=torch.int32, device=self.device)
        self.memory, self.told = memory, torch.empty(head + self.room, dtype=torch.int32, pin_memory=self.on_card)
        self.found, self.bad, self.stop = memory[:steps], memory[steps : steps + 1], memory[steps + 1 : steps + 2]
        self.ends, self.record = memory[steps + 2 : head], memory[head:]
        self.borders = torch.zeros(steps + 1, dtype=torch.int64, device=self.device)
        self.traces = [
            field.new_zeros(steps, len(places)) for field, places in zip(self.watched, self.here.places, strict=True)
        ]
        self.likely = _LIKELY

    def run(self, begin: int, steps: int, recent: Tensor) -> tuple[int, Tensor, list[Tensor]]:
        """Take so many steps; arguments and results are those of ``Engine.run``."""
        with torch.cuda.device_of(self.sums):
            if begin != self.at:
                self._start(begin, recent)
            if min(_STEPS, steps) > self.count:
                self._make_room(min(_STEPS, steps))
            if self.on_card and self.replay is None:
                self._record()
            spikes, traces, waiting = [], [[] for _ in self.traces], None
            at, end, next_on_clock = begin, begin + steps, -1
            while at < end:
                if at != next_on_clock:
                    self.clock.copy_(torch.tensor([at, end]))
                next_on_clock = at + self.count
                self._launch(min(self.count, end - at)) if self.replay is None else self.replay()
                head = len(self.memory) - self.room
                self.told[: head + self.likely].copy_(self.memory[: head + self.likely], non_blocking=True)
                if waiting is not None:
                    # While the device is at work.
                    spikes.append(self._ordered(*waiting))
                if self.on_card:
                    torch.cuda.current_stream().synchronize()
                counts, neurons = self._fetched(min(self.count, end - at))
                for trace, found in zip(traces, self.traces, strict=True):
                    trace.append(found[: len(counts)].to("cpu", copy=True))
                waiting = at, counts, neurons
                at += len(counts)
            spikes.append(self._ordered(*waiting))
            self.at = end
            return steps, torch.from_numpy(np.concatenate(spikes)), [torch.cat(trace) for trace in traces]

    def _record(self) -> None:
        # What is launched before it is recorded has no step to take, and is there to be compiled.
        self.clock.zero_()
        counts = iter((1, self.count))
        self.replay, _ = record_on_cuda(lambda: self._launch(next(counts)))

    def _fetched(self, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """How many spikes each step has that was taken, and their neurons."""
        head, told = len(self.memory) - self.room, self.told.numpy()
        steps = int(told[self.count + 1]) or steps
        counts = told[:steps].copy()
        whole = int(counts.sum())
        if whole > self.likely:
            self.told[head : head + whole].copy_(self.record[:whole])
        # The next copy takes so many at once.
        self.likely = min(self.room, max(_LIKELY, whole + whole // 4))
        return counts, told[head : head + whole].copy()

    def _ordered(self, begin: int, counts: np.ndarray, neurons: np.ndarray) -> np.ndarray:
        # By NumPy, on one thread: torch would wake all of them for a little work.
        total = self.layout.total
        steps = np.arange(begin, begin + len(counts), dtype=np.int64).repeat(counts)
        keys = steps * total + neurons
        keys.sort()
        found = np.empty((len(keys), 2), dtype=np.int32)
        found[:, 0], found[:, 1] = steps, keys - steps * total
        self.figures.events += int(self.lengths[neurons].sum())
        return found

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
        self.memory[: self.count + 2].fill_(0)
        if self.here.given:
            when = self.clock[:1] + torch.arange(len(self.borders), device=self.device)
            torch.searchsorted(self.here.given[0], when, out=self.borders)
        for k in range(steps):
            self._step(k)
        self.clock[:1].add_(self.count)
        # Sums are quick, and NaN where one is.
        sums = [x.sum(dtype=torch.float64) for states in self.here.states for x in states if x.is_floating_point()]
        if sums:
            self.bad.copy_(torch.stack(sums).isnan().any())
        return []

    def _step(self, k: int) -> None:
        here, spikes = self.here, (self.found, self.ends, self.record)
        for n, group in enumerate(here.groups):
            around = self.clock, self.sums, self.unit, here.blocks[n], *spikes
            sizes = k, self.row, self.slots, group.first, group.width
            arguments = *around, *here.drives[n], *here.states[n], *here.fixed[n], *sizes
            constants = {"BLOCK": here.block, "OVERLAP": self.overlaps}
            self._run(self.update(group.plan), len(here.blocks[n]), *arguments, warps=here.warps, **constants)
        if here.given:
            given = self.clock, self.borders, here.given[1], *spikes, k
            self._run(self.kernels.give, 4 if self.on_card else 1, *given, BLOCK=128)
        sizes = k, self.layout.total, self.room, self.row, self.slots, self.synapses.bits
        parts = max(1, min(_PARTS, -(-len(self.synapses.words) // (self.layout.total * self._wide))))
        constants = {"SPLIT": parts, "BLOCK": self._wide, "OVERLAP": self.overlaps}
        self._run(
            self.kernels.deliver, self._programs, self.clock, *spikes, self.stop, *self._rows, *sizes, **constants
        )
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
        if self.told.numpy()[self.count]:
            for group, states in zip(self.here.groups, self.here.states, strict=True):
                for number, begin in zip(group.numbers, group.places, strict=False):
                    own = [x[begin : begin + self.layout.neurons[number]] for x in states if x.is_floating_point()]
                    found[number] = int(torch.stack([x.isnan() for x in own]).any(0).sum()) if own else 0
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


def _may_overlap(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (9, 0)


def _moved(loaded: Loaded, device: torch.device) -> Loaded:
    """Room for the same on a device."""

    def like(tensors: Sequence[Tensor]) -> list[Tensor]:
        return [torch.empty_like(tensor, device=device) for tensor in tensors]

    nested = {name: [like(part) for part in getattr(loaded, name)] for name in ("drives", "states", "fixed")}
    flat = {name: like(getattr(loaded, name)) for name in ("blocks", "given", "places")}
    return replace(loaded, cells=(), **nested, **flat)
