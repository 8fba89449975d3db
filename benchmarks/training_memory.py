"""Peak memory and time of one training step: recomputation and bfloat16, alone and together.

    python benchmarks/training_memory.py
    python benchmarks/training_memory.py --device cuda --repeats 20

Forward, loss, backward and a fused Adam. Times are the least of some repeats: of the clock, and of the processor (its
threads together), which other programs on the machine change less. On a card the peak is torch's count; on a CPU it is
the largest sum of the tensors that live at once, counted at every allocation by the profiler of torch. Weights and
moments, which are there before, do not count.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from measure import machine, stopwatch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import torchdyn_neuro as tdn
from torchdyn_neuro.learning import BPTT
from torchdyn_neuro.losses import MembraneCrossEntropy
from torchdyn_neuro.models import SpikingConvNet

CLASSES = 10


def convolutional() -> tuple[nn.Module, Tensor]:
    """Images through three blocks of convolution, norm and LIF."""
    return SpikingConvNet((3, 32, 32), CLASSES, channels=[16, 32, 64], hidden=128), torch.rand(8, 16, 3, 32, 32)


def recurrent() -> tuple[nn.Module, Tensor]:
    """A long sequence through two recurrent layers."""
    blocks = [
        part
        for _ in range(2)
        for part in (nn.Linear(128, 128), tdn.Recurrent(tdn.LIF(), nn.Linear(128, 128)), nn.Dropout(0.1))
    ]
    return nn.Sequential(*blocks, nn.Linear(128, CLASSES), tdn.LeakyIntegrator()), torch.rand(200, 32, 128)


def deep() -> tuple[nn.Module, Tensor]:
    """Six dense layers of LIF behind synapses, over a long sequence."""
    blocks = [
        part for _ in range(6) for part in (nn.Linear(128, 128), tdn.ExponentialSynapse(), tdn.LIF(), nn.Dropout(0.1))
    ]
    return nn.Sequential(*blocks, nn.Linear(128, CLASSES), tdn.LeakyIntegrator()), torch.rand(200, 32, 128)


CASES: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "convolutional, T = 8": convolutional,
    "recurrent, T = 200": recurrent,
    "six layers, T = 200": deep,
}
WAYS = {
    "as it is": {},
    "recompute=layers": {"recompute": "layers"},
    "recompute=time": {"recompute": "time", "piece": 20},
}


def peak_on_cpu(step: Callable[[], None]) -> int:
    """Bytes of tensors that live at once during a step, at most, beyond those that are there before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, record_shapes=False) as seen:
        step()
    events = seen.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


def row(make: Callable, way: dict, precision: str, device: torch.device, repeats: int) -> str:
    """Peak and time of a step as two cells of the table."""
    torch.manual_seed(0)
    model, x = make()
    model, x = model.to(device), x.to(device)
    if precision == "bf16-true":
        model, x = model.bfloat16(), x.bfloat16()
    labels, loss, method = torch.arange(x.shape[1], device=device) % CLASSES, MembraneCrossEntropy(), BPTT(**way)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    mixed = torch.autocast(device.type, torch.bfloat16) if precision == "bf16-mixed" else nullcontext()

    def step() -> None:
        optimizer.zero_grad()
        with mixed:
            found = method(model, x, labels, loss)
        found.loss.backward()
        optimizer.step()

    try:
        step()
    except TypeError:
        return "- | - | -"
    seconds, busy = [], []
    for _ in range(repeats):
        start, start_busy = stopwatch(device), time.process_time()
        step()
        busy.append(time.process_time() - start_busy)
        seconds.append(stopwatch(device) - start)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        peak = torch.cuda.max_memory_allocated(device) - before
    else:
        peak = peak_on_cpu(step)
    return f"{peak / 2**20:.1f} | {min(seconds) * 1e3:.0f} | {min(busy) * 1e3:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    for key, value in machine(device, ("torchdyn_neuro",)).items():
        print(f"{key}: {value}")
    print(
        "\n| model | precision | way | peak beyond weights (MiB) | step, clock (ms) | step, processor (ms) |\n"
        "|---|---|---|---|---|---|"
    )
    start = time.perf_counter()
    for name, make in CASES.items():
        for precision in ("32-true", "bf16-mixed", "bf16-true"):
            for way, settings in WAYS.items():
                cells = row(make, settings, precision, device, options.repeats)
                print(f"| {name} | {precision} | {way} | {cells} |", flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
