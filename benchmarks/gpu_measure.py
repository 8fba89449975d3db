"""How the parts of ``gpu.sh`` measure: passes queued one behind the other, timed by the card itself."""

import itertools
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from measure import copy_bandwidth, on_card, stopwatch
from torch import Tensor, nn

import torchdyn_neuro as tdn


@dataclass(frozen=True)
class Setting:
    """Where it runs.

    Args:
        dry: on a CPU with tiny sizes.
        file: for the figures.
        backend: that takes the place of Triton in a dry run.
    """

    dry: bool
    file: Path
    backend: str = "cpp"

    @property
    def device(self) -> torch.device:
        """The card, or the CPU in a dry run."""
        return torch.device("cpu" if self.dry else "cuda")

    @property
    def fused(self) -> str:
        """The backend under test."""
        return self.backend if self.dry else "triton"

    def size(self, card: Sequence[int], dry: Sequence[int]) -> tuple[int, ...]:
        """A shape for the card, or for a dry run."""
        return tuple(dry if self.dry else card)

    def write(self, figures: dict[str, Any]) -> None:
        """Write what is known so far; whoever reads it never meets half of it."""
        half = self.file.with_suffix(".half")
        half.write_text(json.dumps(figures, indent=1))
        half.replace(self.file)

    def bandwidth(self) -> float:
        """Bytes per second of a copy."""
        return copy_bandwidth(torch.zeros(1 << 20, device=self.device), 9)


def measured(setting: Setting, model: nn.Module, x: Tensor, backend: str, repeats: int) -> dict[str, Any]:
    """Milliseconds of both passes, what they need at most beside the input, in bytes of each of its elements."""
    device, marks = setting.device, []
    start = stopwatch(device)
    gradient = torch.randn_like(_pass(model, x, backend, None, []))
    first = stopwatch(device) - start
    for _ in range(4):  # until whatever can be recorded is recorded
        _pass(model, x, backend, gradient, [])
    peak = None
    stopwatch(device)
    if on_card(device):
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        _pass(model, x, backend, gradient, [])
        peak = (torch.cuda.max_memory_allocated() - before) / x.numel()
    for _ in range(repeats):
        _pass(model, x, backend, gradient, marks)
    stopwatch(device)
    times = [_between(marks[k], marks[k + 1]) for k in range(len(marks) - 1)]
    forward, backward = statistics.median(times[::3]), statistics.median(times[1::3])
    return {"forward ms": forward, "backward ms": backward, "peak B/element": peak, "first call s": first}


def recorded(setting: Setting, model: nn.Module, x: Tensor, backend: str, repeats: int) -> float:
    """Milliseconds of both passes on the card alone: replayed as one CUDA graph, with no Python in between."""
    if setting.dry:
        found = measured(setting, model, x, backend, repeats)
        return found["forward ms"] + found["backward ms"]
    gradient, stream, graph = torch.randn_like(x), torch.cuda.Stream(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            _pass(model, x, backend, gradient, [])
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph), tdn.backend(backend):
        x.grad = None
        model(x).backward(gradient)
    marks = [_mark(x)]
    for _ in range(repeats):
        graph.replay()
        marks.append(_mark(x))
    stopwatch(x.device)
    return statistics.median(_between(one, other) for one, other in itertools.pairwise(marks))


def _pass(model: nn.Module, x: Tensor, backend: str, gradient: Tensor | None, marks: list) -> Tensor:
    x.grad = None
    model.zero_grad(set_to_none=True)
    with tdn.backend(backend):
        marks.append(_mark(x))
        y = model(x)
        marks.append(_mark(x))
        y.backward(torch.ones_like(y) if gradient is None else gradient)
        marks.append(_mark(x))
    return y.detach()


def _mark(x: Tensor) -> Any:
    if not on_card(x.device):
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between(one: Any, other: Any) -> float:
    return 1e3 * (other - one) if isinstance(one, float) else one.elapsed_time(other)
