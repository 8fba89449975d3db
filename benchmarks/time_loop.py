"""How fast the time loop is: this library eager and fused against the peers that are installed, in one run.

    python benchmarks/time_loop.py
    python benchmarks/time_loop.py --device cuda --cases lif recurrent --json figures.json

All candidates of a case take turns, so that whatever else the machine does meets them alike; the figures are medians.
``pip install -e ".[bench]"`` brings the peers. A peer that is missing, or fails, is reported and the rest goes on.

``ours fused, events`` is our model with ``propagate_events``: linear layers and convolutions touch the weights of
active inputs only. Convolutions run in both layouts of memory.

The columns: time of the forward and of the backward pass; both against the fastest peer (above 1: faster than it);
the share of the bandwidth limit, which is the bytes that must move (input and output forward; gradient of the output,
input and gradient of the input backward) at the speed of ``Tensor.copy_`` in the same run, over the time taken; what
the graph keeps for the backward pass beside the input and the weights, and on a card what both passes need at most, in
bytes per element of the input; and the time of the very first forward and backward pass in a fresh process, with an
empty cache of kernels and with a filled one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from measure import Candidate, compare, machine, run_once, stopwatch
from rich.console import Console
from rich.table import Table
from time_loop_cases import CASES, Case
from time_loop_peers import PEERS

import torchdyn_neuro as tdn
from torchdyn_neuro.events import propagate_events

OURS = ("ours eager", "ours fused", "ours fused, events")


@dataclass
class Row:
    """One line of the table; times in seconds, absent where they do not apply."""

    case: str
    name: str
    forward: float | None = None
    backward: float | None = None
    ratio_to_best_peer: float | None = None
    ratio_to_eager: float | None = None
    bandwidth_share: float | None = None
    saved_bytes_per_element: float | None = None
    peak_bytes_per_element: float | None = None
    first_call_cold: float | None = None
    first_call_cached: float | None = None
    error: str | None = None

    @property
    def total(self) -> float:
        """Seconds forward and backward."""
        return self.forward + self.backward


def our_candidate(case: Case, name: str, device: torch.device) -> Candidate | None:
    """This library's model of ``case`` as ``name`` says; ``None`` where that is the same as without events."""
    torch.manual_seed(0)
    model = case.model().to(device)
    case.excite(model)
    if name == "ours fused, events":
        dense = {id(module) for module in model.modules()}
        propagate_events(model)
        if {id(module) for module in model.modules()} == dense:
            return None

    def run(x: torch.Tensor) -> torch.Tensor:
        with tdn.backend("eager" if name == "ours eager" else "auto"):
            return model(x)

    return Candidate(name, run, model)


def peer_candidates(case: Case, device: torch.device) -> tuple[list[Candidate], list[Row]]:
    """The models of the peers that can be built, and a line for each that cannot."""
    candidates, absent = [], []
    for name, build in PEERS.items():
        torch.manual_seed(0)
        try:
            built = build(case)
        except ModuleNotFoundError as error:
            absent.append(Row(case.name, name, error=f"not installed ({error.name})"))
            continue
        except Exception as error:  # a peer that cannot be built is a line of the table, not the end of the run
            absent.append(Row(case.name, name, error=f"{type(error).__name__}: {error}"))
            continue
        for candidate in built:
            candidate.module.to(device)
            case.excite(candidate.module)
            candidates.append(candidate)
    return candidates, absent


def all_candidates(case: Case, device: torch.device, *, peers: bool) -> tuple[list[Candidate], list[Row]]:
    """Our models and those of the peers, and a line for each that is absent."""
    ours = [candidate for name in OURS if (candidate := our_candidate(case, name, device))]
    theirs, absent = peer_candidates(case, device) if peers else ([], [])
    return ours + theirs, absent


def in_channels_last(candidate: Candidate) -> Candidate:
    """The same with images and filters in the layout that torch's convolutions prefer."""
    candidate.module.to(memory_format=torch.channels_last)
    return replace(candidate, name=f"{candidate.name}, channels last", channels_last=True)


def run_case(case: Case, device: torch.device, repeats: int, *, peers: bool, first_call: bool) -> list[Row]:
    """Time every candidate of one case."""
    candidates, absent = all_candidates(case, device, peers=peers)
    if case.kind == "convolution":
        others = all_candidates(case, device, peers=peers)[0]
        candidates += [in_channels_last(candidate) for candidate in others]
    x = case.input(device)
    timings, bandwidth = compare(candidates, x, repeats)
    rows = []
    for name, timing in timings.items():
        row = Row(case.name, name, error=timing.error)
        if timing.error is None:
            row.forward, row.backward = timing.medians
            row.saved_bytes_per_element = timing.saved_bytes / x.numel()
            if timing.peak_bytes is not None:
                row.peak_bytes_per_element = timing.peak_bytes / x.numel()
            if case.moved_bytes is not None:
                row.bandwidth_share = case.moved_bytes / bandwidth / row.total
        rows.append(row)
    measured = [row for row in rows if row.error is None]
    best_peer = min((row.total for row in measured if not row.name.startswith("ours")), default=None)
    eager = next((row.total for row in measured if row.name == "ours eager"), None)
    for row in measured:
        row.ratio_to_best_peer = None if best_peer is None else best_peer / row.total
        row.ratio_to_eager = None if eager is None else eager / row.total
        if first_call and row.name in OURS[1:]:
            row.first_call_cold, row.first_call_cached = first_calls(case, row.name, device)
    return rows + absent


def first_calls(case: Case, name: str, device: torch.device) -> tuple[float, float]:
    """Seconds of the first pass of our model in a fresh process: with an empty cache of kernels, then a filled one."""
    arguments = [sys.executable, __file__, "--first-call", case.name, name, "--device", str(device)]
    arguments += ["--threads", str(torch.get_num_threads()), "--scale", str(case.scale)]
    with tempfile.TemporaryDirectory() as folder:
        caches = {"TORCHDYN_NEURO_CACHE": folder, "TRITON_CACHE_DIR": f"{folder}/triton"}
        seconds = [
            float(subprocess.run(arguments, env={**os.environ, **caches}, check=True, capture_output=True).stdout)
            for _ in range(2)
        ]
    return seconds[0], seconds[1]


def print_first_call(case: Case, name: str, device: torch.device) -> None:
    """The child process of :func:`first_calls`."""
    candidate, x = our_candidate(case, name, device), case.input(device)
    # What torch sets up at the first gradient of a process, whoever asks for it, does not count.
    leaf = torch.ones(1, device=device, requires_grad=True)
    torch.autograd.grad(2 * leaf, leaf, torch.ones_like(leaf))
    start = stopwatch(device)
    run_once(candidate, x, None)
    print(stopwatch(device) - start)


def table(case: Case, rows: list[Row]) -> Table:
    """The lines of one case, fastest first."""
    shown = Table(title=f"{case.name}: input {list(case.shape)}", title_justify="left")
    for heading, justify in (
        ("implementation", "left"),
        ("forward ms", "right"),
        ("backward ms", "right"),
        ("x best peer", "right"),
        ("x eager", "right"),
        ("bandwidth limit", "right"),
        ("saved B/element", "right"),
        ("peak B/element", "right"),
        ("first call s, cold / cached", "right"),
    ):
        shown.add_column(heading, justify=justify)
    for row in sorted(rows, key=lambda row: (row.error is not None, row.total if row.error is None else 0.0)):
        if row.error is not None:
            shown.add_row(row.name, f"[red]{row.error[:70]}[/red]")
            continue
        first = None if row.first_call_cold is None else f"{row.first_call_cold:.2f} / {row.first_call_cached:.2f}"
        shown.add_row(
            row.name,
            f"{row.forward * 1e3:.2f}",
            f"{row.backward * 1e3:.2f}",
            _or_dash(row.ratio_to_best_peer, "{:.2f}"),
            _or_dash(row.ratio_to_eager, "{:.2f}"),
            _or_dash(row.bandwidth_share, "{:.0%}"),
            _or_dash(row.saved_bytes_per_element, "{:.2f}"),
            _or_dash(row.peak_bytes_per_element, "{:.2f}"),
            first or "-",
        )
    return shown


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of every library")
    parser.add_argument("--repeats", type=int, default=11, help="runs of which the median is taken")
    parser.add_argument("--scale", type=float, default=1.0, help="shrinks T and B, for a quick look")
    parser.add_argument("--no-peers", action="store_true", help="this library only")
    parser.add_argument("--no-first-call", action="store_true", help="skip the fresh processes of the last column")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--first-call", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Run the cases asked for, print a table of each and write the figures."""
    options = arguments()
    torch.set_num_threads(options.threads)
    if options.first_call:
        name, candidate = options.first_call
        print_first_call(CASES[name].scaled(options.scale), candidate, options.device)
        return
    described = machine(options.device, ("spikingjelly", "snntorch", "norse", "sinabs", "triton"))
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(", ".join(f"{key} {value}" for key, value in described.items()), highlight=False)
    rows = []
    for name in options.cases:
        case = CASES[name].scaled(options.scale)
        found = run_case(
            case, options.device, options.repeats, peers=not options.no_peers, first_call=not options.no_first_call
        )
        console.print(table(case, found))
        rows += found
        if options.json:
            figures = {"command": " ".join(sys.argv), "machine": described, "rows": [asdict(row) for row in rows]}
            options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
