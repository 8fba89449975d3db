"""Networks of spiking neurons: how long a second of theirs takes, against their size and the number of threads.

    python benchmarks/networks.py
    python benchmarks/networks.py --tables cortical_microcircuit.json --scales 0.1 0.3 1.0 --threads 1 2

The models of ``examples/papers``. ``coba``, ``cuba``: Brette et al. 2007, benchmarks 1 and 2, synapses as conductances
or currents, 80 inputs to a cell, .1 ms. ``microcircuit``: Potjans & Diesmann 2014, with the numbers of its tables as a
file. Each line says how long the network took to build, the bytes of a synapse, the least real-time
factor of some windows (seconds that pass for one of the model) and where the time of all threads went. Processor time
counts all threads and is disturbed less by other work on the machine; where there is such work the benchmark says so.
"""

import argparse
import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "papers"))

DT = 0.1
WINDOWS = 6


@dataclass
class Figures:
    """One network on some threads; seconds for one of the model, of the clock and of all processors."""

    name: str
    threads: int
    neurons: int
    synapses: int
    build: float
    bytes: float
    clock: float
    processor: float
    rate: float
    event: float
    update: float
    memory: float


def measured(name: str, build, threads: int, settle: float, window: float) -> Figures:
    """Build a network and run some windows of it."""
    torch.set_num_threads(threads)
    start = time.perf_counter()
    net = build()
    seconds = time.perf_counter() - start
    state = net.run(settle, record=False).state
    clock, processor, spikes, events, ticks = [], [], 0, 0, [0, 0, 0]
    for _ in range(WINDOWS):
        before = time.process_time()
        found = net.run(window, state)
        processor.append(time.process_time() - before)
        clock.append(found.real_time_factor)
        state, spikes, events = found.state, spikes + len(found.spikes), events + found.figures.events
        ticks = [a + b for a, b in zip(ticks, found.figures.ticks, strict=True)]
    least = min(processor) * 1000 / window
    share = [part / max(1, sum(ticks)) for part in ticks]
    steps = WINDOWS * round(window / DT) * net.layout.total
    spent = least * window / 1000 * WINDOWS * 1e9
    return Figures(
        name,
        threads,
        net.layout.total,
        net.packed.synapses,
        seconds,
        net.packed.nbytes / max(1, net.packed.synapses),
        min(clock),
        least,
        1000 * spikes / (net.layout.total * WINDOWS * window),
        share[0] * spent / max(1, events),
        share[1] * spent / steps,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    )


def table(rows: list[Figures]) -> Table:
    """What was measured, as a table."""
    shown = Table(title="networks: seconds for one second of the model")
    for head in ("network", "threads", "neurons", "synapses", "build s", "bytes/syn.", "clock", "processor", "Hz"):
        shown.add_column(head, justify="left" if head == "network" else "right")
    for head in ("ns/event", "ns/neuron step", "process GB"):
        shown.add_column(head, justify="right")
    for row in rows:
        numbers = (
            f"{row.build:.2f}",
            f"{row.bytes:.2f}",
            f"{row.clock:.3f}",
            f"{row.processor:.3f}",
            f"{row.rate:.2f}",
        )
        last = (f"{row.event:.2f}", f"{row.update:.3f}", f"{row.memory:.2f}")
        shown.add_row(row.name, str(row.threads), f"{row.neurons}", f"{row.synapses:.3g}", *numbers, *last)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, nargs="*", default=[4000, 40_000], help="sizes of these networks")
    parser.add_argument("--models", nargs="*", default=["COBA", "CUBA"], choices=["COBA", "CUBA"])
    parser.add_argument("--tables", type=Path, help="numbers of the microcircuit, JSON")
    parser.add_argument("--scales", type=float, nargs="*", default=[0.1], help="scales of the microcircuit")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--window", type=float, default=500.0, help="ms of each window")
    parser.add_argument("--json", type=Path, help="where the figures go")
    args = parser.parse_args()
    from Brette_2007 import network as vogels_abbott

    busy = os.getloadavg()[0]
    cases = [
        (f"{model.lower()} {count}", lambda model=model, count=count: vogels_abbott(model, count), 100.0)
        for model in args.models
        for count in args.neurons
    ]
    if args.tables:
        from Potjans_Diesmann_2014 import network

        tables = json.loads(args.tables.read_text())
        cases += [
            (f"microcircuit {scale:g}", lambda scale=scale: network(tables, scale), 300.0) for scale in args.scales
        ]
    rows = [
        measured(name, build, threads, settle, args.window) for name, build, settle in cases for threads in args.threads
    ]
    Console(width=160).print(table(rows))
    if busy > 0.3:
        print(f"other work on this machine (load {busy:.1f}): times of the clock are too long, compare processor times")
    if args.json:
        args.json.write_text(json.dumps([vars(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
