"""Networks of spiking neurons: how long a second of theirs takes, against their size and the number of threads.

    python benchmarks/networks.py
    python benchmarks/networks.py --peers PYTHON --neurons 1000 4000 16000 --picture cost.png
    python benchmarks/networks.py --tables cortical_microcircuit.json --scales 0.1 0.3 1.0 --threads 1 2

The models of ``examples/papers``. ``coba``, ``cuba``: Brette et al. 2007, benchmarks 1 and 2, synapses as conductances
or currents, 80 inputs to a cell, .1 ms. ``microcircuit``: Potjans & Diesmann 2014, with the numbers of its tables as a
file. Each line says how long the network took to build, the bytes of a synapse, the least real-time
factor of some windows (seconds that pass for one of the model) and where the time of all threads went. Processor time
counts all threads and is disturbed less by other work on the machine; where there is such work the benchmark says so.
``--peers`` (or the variable ``TORCHDYN_NEURO_PEERS``) names a Python with NEST or Brian2, which then run ``coba`` and
``cuba`` too (``network_times.py``); what is not installed there is left out with its reason. ``--picture`` draws how
the cost grows with the number of neurons.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "papers"))

DT = 0.1
WINDOWS = 6
PEERS = "TORCHDYN_NEURO_PEERS"


@dataclass
class Figures:
    """One network on some threads; seconds for one of the model, of the clock and of all processors."""

    name: str
    threads: int
    neurons: int
    synapses: int
    build: float
    bytes: float | None
    clock: float
    processor: float | None
    rate: float
    event: float | None = None
    update: float | None = None
    memory: float | None = None
    simulator: str = "ours"


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
    for head in (
        "network",
        "simulator",
        "threads",
        "neurons",
        "synapses",
        "build s",
        "bytes/syn.",
        "clock",
        "processor",
        "Hz",
    ):
        shown.add_column(head, justify="left" if head in ("network", "simulator") else "right")
    for head in ("ns/event", "ns/neuron step", "process GB"):
        shown.add_column(head, justify="right")
    for row in rows:
        numbers = [f"{row.build:.2f}", number(row.bytes, ".2f"), f"{row.clock:.3f}", number(row.processor, ".3f")]
        numbers += [f"{row.rate:.2f}", number(row.event, ".2f"), number(row.update, ".3f"), number(row.memory, ".2f")]
        shown.add_row(row.name, row.simulator, str(row.threads), f"{row.neurons}", f"{row.synapses:.3g}", *numbers)
    return shown


def number(value: float | None, form: str) -> str:
    """A number, or a line where there is none."""
    return "-" if value is None else format(value, form)


def peer(python: str, simulator: str, name: str, threads: int, settle: float, window: float) -> Figures | None:
    """What another simulator takes."""
    script = Path(__file__).with_name("network_times.py")
    words = [simulator, *name.split(), str(threads), str(settle), str(window), str(WINDOWS)]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([python, str(script), *words], capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode:
        print(f"{simulator}, {name}: left out, for {(done.stderr.strip().splitlines() or ['it failed'])[-1]}")
        return None
    found = json.loads(done.stdout.strip().splitlines()[-1])
    found.pop("compile", None)
    return Figures(name=name, threads=threads, simulator=simulator, **found)


def draw(rows: list[Figures], picture: Path) -> None:
    """The cost against the number of neurons, of each simulator and network."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kinds = sorted({row.name.split()[0] for row in rows})
    simulators = sorted({row.simulator for row in rows}, key=lambda name: (name != "ours", name))
    figure, axes = plt.subplots(1, len(kinds), figsize=(4.2 * len(kinds), 4), layout="constrained", squeeze=False)
    for ax, kind in zip(axes[0], kinds, strict=True):
        for color, simulator in enumerate(simulators):
            for threads in sorted({row.threads for row in rows}):
                own = [r for r in rows if (r.name.split()[0], r.simulator, r.threads) == (kind, simulator, threads)]
                if own:
                    x, y = zip(*sorted((row.neurons, row.clock) for row in own), strict=True)
                    style = {"ls": "-" if threads == 1 else "--", "label": f"{simulator}, {threads} thr."}
                    ax.loglog(x, y, marker="o", ms=4, color=f"C{color}", **style)
        ax.axhline(1.0, color="0.7", lw=1, zorder=0)
        ax.set(title=kind, xlabel="neurons")
    axes[0, 0].set_ylabel("seconds for a second of the model")
    axes[0, 0].legend(frameon=False, fontsize=8)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, nargs="*", default=[4000, 40_000], help="sizes of these networks")
    parser.add_argument("--models", nargs="*", default=["COBA", "CUBA"], choices=["COBA", "CUBA"])
    parser.add_argument("--tables", type=Path, help="numbers of the microcircuit, JSON")
    parser.add_argument("--scales", type=float, nargs="*", default=[0.1], help="scales of the microcircuit")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--window", type=float, default=500.0, help="ms of each window")
    parser.add_argument("--peers", default=os.environ.get(PEERS), help="a Python with NEST or Brian2")
    parser.add_argument("--simulators", nargs="*", default=["nest", "brian2"], help="which of them")
    parser.add_argument("--picture", type=Path, help="where the cost against the number of neurons is drawn")
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
    if args.peers:
        others = [
            peer(args.peers, simulator, name, threads, settle, args.window)
            for name, _, settle in cases
            for simulator in args.simulators
            for threads in args.threads
            if not name.startswith("microcircuit")
        ]
        rows += [row for row in others if row is not None]
        rows.sort(key=lambda row: row.name)
    Console(width=160).print(table(rows))
    if args.picture:
        draw(rows, args.picture)
    if busy > 0.3:
        print(f"other work on this machine (load {busy:.1f}): times of the clock are too long, compare processor times")
    if args.json:
        args.json.write_text(json.dumps([vars(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
