"""How the benchmarks measure: interleaved timing, copy bandwidth, and what a graph keeps for its backward pass."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata

import torch
from torch import Tensor, nn

PATIENCE = 10.0
"""Seconds after which three runs of one candidate are enough, however many were asked for."""


@dataclass
class Candidate:
    """One implementation of a case.

    Args:
        name: what the table calls it.
        run: maps the input of the case to the output; called under autograd.
        module: holds the weights, whose gradients are dropped between runs.
        reset: what the library's documentation asks for between two sequences; it is not timed.
        batch_first: whether the library takes [B, T, \\*] in place of [T, B, \\*]; the input is laid out beforehand.
        channels_last: whether images lie in memory with their channels last; they too are laid out beforehand.
    """

    name: str
    run: Callable[[Tensor], Tensor]
    module: nn.Module
    reset: Callable[[], None] = lambda: None
    batch_first: bool = False
    channels_last: bool = False

    def lay_out(self, x: Tensor) -> Tensor:
        """A copy of the input of a case as this candidate takes it."""
        x = x.detach().transpose(0, 1).contiguous() if self.batch_first else x.detach()
        if self.channels_last:
            x = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2])
        return x.clone()


@dataclass
class Timing:
    """Seconds of each run of one candidate, or the reason why there are none."""

    forward: list[float] = field(default_factory=list)
    backward: list[float] = field(default_factory=list)
    saved_bytes: int = 0
    peak_bytes: int | None = None
    error: str | None = None

    @property
    def medians(self) -> tuple[float, float]:
        """Median seconds of the forward and of the backward pass."""
        return statistics.median(self.forward), statistics.median(self.backward)


CARD_COPY = 1 << 30
"""Bytes that are copied on a card, more than its caches hold."""


def on_card(device: torch.device) -> bool:
    """Whether a device counts its memory and works on while Python goes on."""
    return device.type == "cuda"


def stopwatch(device: torch.device) -> float:
    """The time in seconds, after all work on ``device`` is done."""
    if on_card(device):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def run_once(candidate: Candidate, x: Tensor, gradient: Tensor | None) -> tuple[float, float, Tensor]:
    """Seconds forward, seconds backward and the output of one pass; ``gradient`` is ones if omitted."""
    candidate.reset()
    candidate.module.zero_grad(set_to_none=True)
    x.grad = None
    start = stopwatch(x.device)
    y = candidate.run(x)
    middle = stopwatch(x.device)
    y.backward(torch.ones_like(y) if gradient is None else gradient)
    return middle - start, stopwatch(x.device) - middle, y.detach()


def saved_bytes(candidate: Candidate, x: Tensor) -> int:
    """Bytes of the tensors that one forward pass keeps for backward, the input and the weights left out."""
    known = {leaf.untyped_storage().data_ptr() for leaf in (x, *candidate.module.parameters())}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    candidate.reset()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = candidate.run(x)
    del output
    return sum(kept.values())


def peak_bytes(candidate: Candidate, x: Tensor, gradient: Tensor) -> int | None:
    """Bytes of a card that one forward and backward pass needs at most beside what is there; ``None`` on a CPU."""
    if not on_card(x.device):
        return None
    x.grad = None
    candidate.module.zero_grad(set_to_none=True)
    torch.cuda.synchronize(x.device)
    before = torch.cuda.memory_allocated(x.device)
    torch.cuda.reset_peak_memory_stats(x.device)
    run_once(candidate, x, gradient)
    return torch.cuda.max_memory_allocated(x.device) - before


def copy_bandwidth(like: Tensor, repeats: int) -> float:
    """Bytes per second, read and written, of a copy: of ``like``, and on a card of more than its caches hold."""
    source = torch.zeros(CARD_COPY // 4, device=like.device) if on_card(like.device) else like.detach()
    target, seconds = torch.empty_like(source), []
    for _ in range(repeats + 1):
        start = stopwatch(like.device)
        target.copy_(source)
        seconds.append(stopwatch(like.device) - start)
    return 2 * source.nbytes / statistics.median(seconds[1:])


def compare(candidates: list[Candidate], x: Tensor, repeats: int) -> tuple[dict[str, Timing], float]:
    """Time all candidates in turn, ``repeats`` times over, so that a slow moment of the machine meets them all.

    Returns:
        The timing of each candidate by name, and the copy bandwidth in bytes per second measured between them.
    """
    timings = {candidate.name: Timing() for candidate in candidates}
    inputs, gradients = {}, {}
    for candidate in candidates:
        inputs[candidate.name] = candidate.lay_out(x).requires_grad_(x.requires_grad)
        try:
            _, _, y = run_once(candidate, inputs[candidate.name], None)
            gradients[candidate.name] = torch.randn_like(y)
            timings[candidate.name].saved_bytes = saved_bytes(candidate, inputs[candidate.name])
            run_once(candidate, inputs[candidate.name], gradients[candidate.name])
            prepared = inputs[candidate.name], gradients[candidate.name]
            timings[candidate.name].peak_bytes = peak_bytes(candidate, *prepared)
        except Exception as error:  # a peer that fails is a line of the table, not the end of the run
            timings[candidate.name].error = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    copies = []
    for _ in range(repeats):
        copies.append(copy_bandwidth(x, 1))
        for candidate in candidates:
            timing = timings[candidate.name]
            enough = len(timing.forward) >= 3 and sum(timing.forward) + sum(timing.backward) > PATIENCE
            if timing.error is None and not enough:
                forward, backward, _ = run_once(candidate, inputs[candidate.name], gradients[candidate.name])
                timing.forward.append(forward)
                timing.backward.append(backward)
    return timings, statistics.median(copies)


def machine(device: torch.device, packages: tuple[str, ...]) -> dict[str, str]:
    """The machine and the versions that figures depend on."""
    described = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
    }
    if on_card(device):
        described["device"] = torch.cuda.get_device_name(device)
    else:
        described["device"] = f"{_processor()}, {os.cpu_count()} cores"
        described["load before the run"] = f"{os.getloadavg()[0]:.1f}"
    for package in packages:
        try:
            described[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            described[package] = "not installed"
    return described


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
