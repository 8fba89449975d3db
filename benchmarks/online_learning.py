"""Time and peak memory of the ways to learn over time, by the length of the sequence.

    python benchmarks/online_learning.py
    python benchmarks/online_learning.py --steps 100 2000 --methods bptt eprop --threads 2

One learning step (forward and gradients) of a recurrent network [64, ``--neurons``, 10] with a batch of 32, a tenth of
the inputs active. Each cell of the table is a process of its own: the memory is what the step adds to the peak of the
process, after a step of a few frames has loaded and compiled what there is to; the time is that of the processor, the
least of three.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.learning import BPTT, TBPTT, EProp, LearningMethod, LocalLosses, ThreeFactor
from torchdyn_neuro.losses import MembraneCrossEntropy

METHODS: dict[str, Callable[[], LearningMethod]] = {
    "bptt": BPTT,
    "tbptt": lambda: TBPTT(steps=16),
    "eprop": EProp,
    "eprop_end": lambda: EProp(error="end"),
    "eprop_block_1": lambda: EProp(block=1),
    "local_losses": LocalLosses,
    "three_factor": ThreeFactor,
}
CELLS: dict[str, Callable[[], tdn.Dynamics]] = {
    "LIF": lambda: tdn.LIF(20.0),
    "ALIF": lambda: tdn.ALIF(20.0, 200.0, beta=20.0),
}


def peak_so_far() -> int:
    """The most bytes that this process has had; Linux only, where getrusage begins with those of the parent."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def measure(name: str, cell: str, steps: int, neurons: int, threads: int) -> dict[str, float]:
    """One cell of the table: seconds and bytes."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    layer = tdn.Recurrent(CELLS[cell](), nn.Linear(neurons, neurons, bias=False))
    net = nn.Sequential(nn.Linear(64, neurons), layer, nn.Linear(neurons, 10), tdn.LeakyIntegrator(20.0))
    method, loss = METHODS[name](), MembraneCrossEntropy()
    method.prepare(net)
    x, labels = (torch.rand(steps, 32, 64) < 0.1).float(), torch.arange(32) % 10
    method(net, x[:2], labels, loss).loss.backward()
    before = peak_so_far()
    method(net, x, labels, loss).loss.backward()
    peak = peak_so_far() - before
    seconds = []
    for _ in range(3):
        start = time.process_time()
        method(net, x, labels, loss).loss.backward()
        seconds.append(time.process_time() - start)
    return {"seconds": min(seconds), "bytes": peak}


def in_a_process(*arguments: object) -> dict[str, float]:
    """The same in a process that has done nothing before."""
    command = [sys.executable, __file__, "--measure", *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="+", type=int, default=[100, 500, 2000])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--cells", nargs="+", default=list(CELLS), choices=CELLS)
    parser.add_argument("--neurons", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, cell, *numbers = options.measure
        print(json.dumps(measure(name, cell, *map(int, numbers))))
        return
    for cell in options.cells:
        table = Table(title=f"{cell}, {options.neurons} neurons, batch 32: MB added, and seconds of the processor")
        for heading in ("method", *(f"T = {steps}" for steps in options.steps)):
            table.add_column(heading, justify="left" if heading == "method" else "right")
        for name in options.methods:
            results = [in_a_process(name, cell, steps, options.neurons, options.threads) for steps in options.steps]
            table.add_row(name, *(f"{r['bytes'] / 2**20:.0f} MB  {r['seconds']:.2f} s" for r in results))
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
