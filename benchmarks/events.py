"""From which activity and size work per spike beats work per step; all candidates in turn, in one run.

    python benchmarks/events.py
    python benchmarks/events.py --threads 1 --json figures.json

Two tables of speed-ups (above 1: faster than ``nn.Linear``, or than ``Recurrent`` on the clock), medians of the runs:

- sparse propagation: ``EventLinear``, which always gathers here (``most_active=1``), against the dense product, over
  the size of a square layer and the share of active inputs, for many rows [T, B] at once and for a single frame;
- networks: ``EventNetwork`` against ``Recurrent``, with the dense ``nn.Linear`` and with an ``EventLinear``, over the
  number of neurons and the spikes per step in the whole network. The three give the same spikes. The dense loop on
  the clock is the fused one where there is a compiler.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from measure import machine, stopwatch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro.events import EventNetwork, Events, events_from_grid

CPU = torch.device("cpu")


@dataclass
class Row:
    """One measured case; times in seconds.

    case: which table; units: size; rows: frames at once; activity: share of active inputs, or spikes per step.
    """

    case: str
    units: int
    rows: int
    activity: float
    seconds: dict[str, float]

    def speed_up(self, name: str, base: str) -> float:
        """How many times faster ``name`` is than ``base``."""
        return self.seconds[base] / self.seconds[name]


def in_turn(candidates: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each candidate; they take turns, so that a slow moment of the machine meets them all."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(repeats + 1):
        for name, run in candidates.items():
            start = stopwatch(CPU)
            run()
            if turn:  # the first turn is the warm-up
                seconds[name].append(stopwatch(CPU) - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def measure_propagation(units: int, rows: int, activity: float, repeats: int) -> Row:
    """One square layer on random spikes [rows, units]."""
    torch.manual_seed(0)
    dense = nn.Linear(units, units)
    gathered = tdn.EventLinear(units, units, most_active=1)
    gathered.load_state_dict(dense.state_dict())
    spikes = (torch.rand(rows, units) < activity).float()
    torch.testing.assert_close(gathered(spikes), dense(spikes))
    seconds = in_turn({"dense": lambda: dense(spikes), "gathered": lambda: gathered(spikes)}, repeats)
    return Row("propagation", units, rows, activity, seconds)


def measure_network(units: int, spikes_per_step: float, steps: int, repeats: int) -> Row:
    """A recurrent network of LIF neurons, each onto a tenth of the others, kept alive by spikes from outside."""
    torch.manual_seed(0)
    module = tdn.LIF(reset="zero", dt=0.1).double()
    weight = torch.randn(units, units, dtype=torch.float64) * (torch.rand(units, units) < 0.1)
    drive = (torch.rand(steps, 1, units) < spikes_per_step / units).double() * 300.0
    connection = nn.Linear(units, units, bias=False, dtype=torch.float64)
    connection.weight.copy_(weight)
    clock = tdn.Recurrent(module, connection)
    sparse_clock = tdn.Recurrent(module, tdn.EventLinear.from_linear(connection, most_active=1))
    network = EventNetwork(module, weight, delay=0.1)
    events = events_from_grid(drive[:, 0], 0.1)

    def by_events() -> tuple[Events, Tensor]:
        return network.run(events, steps * 0.1)

    count, found = int(clock(drive).sum()), len(by_events()[0].time)
    if count != found:
        raise RuntimeError(f"the clock gives {count} spikes and the events {found}: they must be equal")
    candidates = {
        "clock": lambda: clock(drive),
        "clock, gathered": lambda: sparse_clock(drive),
        "events": by_events,
    }
    return Row("network", units, 1, count / steps, in_turn(candidates, repeats))


def propagation_table(rows: list[Row]) -> Table:
    """Speed-ups over size and activity."""
    activities = sorted({row.activity for row in rows})
    table = Table(title="sparse propagation: times faster than nn.Linear, by share of active inputs")
    for column in ("frames", "neurons", *(f"{100 * activity:g} %" for activity in activities), "dense at 1st (ms)"):
        table.add_column(column, justify="right")
    for frames, units in sorted({(row.rows, row.units) for row in rows}):
        own = [row for row in rows if (row.rows, row.units) == (frames, units)]
        ratios = [_colored(row.speed_up("gathered", "dense")) for row in sorted(own, key=lambda row: row.activity)]
        table.add_row(str(frames), str(units), *ratios, f"{1e3 * own[0].seconds['dense']:.3g}")
    return table


def network_table(rows: list[Row]) -> Table:
    """Speed-ups over size and spikes per step."""
    table = Table(title="networks: times faster than Recurrent(LIF, nn.Linear) on the clock")
    for column in ("neurons", "spikes per step", "EventNetwork", "Recurrent, EventLinear", "clock (ms)"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            str(row.units),
            f"{row.activity:.3g}",
            _colored(row.speed_up("events", "clock")),
            _colored(row.speed_up("clock, gathered", "clock")),
            f"{1e3 * row.seconds['clock']:.3g}",
        )
    return table


def _colored(ratio: float) -> str:
    return f"[{'green' if ratio >= 1 else 'red'}]{ratio:.2f}[/]"


@torch.no_grad()
def main() -> None:
    """Measure, print the tables, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 1024, 4096], help="of the layers")
    parser.add_argument("--network-sizes", type=int, nargs="+", default=[100, 1000, 3000])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 512], help="frames at once")
    parser.add_argument("--steps", type=int, default=500, help="steps of the networks")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    described = machine(CPU, ())
    propagation = [
        measure_propagation(units, rows, activity, options.repeats)
        for rows in options.rows
        for units in options.sizes
        for activity in (0.001, 0.01, 0.03, 0.1, 0.2)
    ]
    networks = [
        measure_network(units, spikes, options.steps, options.repeats)
        for units in options.network_sizes
        for spikes in (0.01, 0.1, 1.0)
    ]
    console = Console()
    console.print(", ".join(f"{name}: {value}" for name, value in described.items()))
    console.print(propagation_table(propagation), network_table(networks))
    if options.json:
        figures = {"machine": described, "rows": [asdict(row) for row in (*propagation, *networks)]}
        options.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
