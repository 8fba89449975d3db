"""Runs the parts of ``gpu.sh``, each in a process of its own with a time limit, and writes what they found.

    bash benchmarks/gpu.sh OUT

``OUT/gpu.json`` and ``OUT/gpu.md`` are written anew after every part, so that they are there whatever happens later.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gpu_report import markdown

HERE = Path(__file__).parent
LAST_LINES = 30
WHOLE = 475.0
"""Seconds for all parts together."""
TABLES = "TORCHDYN_NEURO_MICROCIRCUIT"
"""The variable by which ``gpu_networks.py`` finds the numbers of the microcircuit."""


@dataclass(frozen=True)
class Part:
    """One thing to do.

    Args:
        name: what ``--parts`` calls it.
        limit: seconds that it may take on a card.
        command: from a file for its figures and whether this is a dry run to what is started.
        interpreted: whether Triton's interpreter runs it in a dry run.
    """

    name: str
    limit: float
    command: Callable[[Path, bool], Sequence[str]]
    interpreted: bool = False


@dataclass
class Outcome:
    """What became of a part; ``status`` is ok, failed or timed out."""

    name: str
    status: str
    seconds: float
    result: Any = None
    last_lines: list[str] = field(default_factory=list)


def own(name: str) -> Callable[[Path, bool], Sequence[str]]:
    """The command of a part in ``gpu_parts.py``."""
    return lambda file, dry: ["gpu_parts.py", name, "--json", str(file), *(["--dry-run"] if dry else [])]


def table(file: Path, dry: bool) -> Sequence[str]:
    """The command of the table of all cases."""
    small = ["--scale", "0.05", "--repeats", "1", "--no-peers", "--cases", "lif", "recurrent"]
    options = small if dry else ["--device", "cuda", "--repeats", "5", "--threads", "8"]
    return ["time_loop.py", "--no-first-call", "--json", str(file), *options]


PARTS = (
    Part("machine", 20, own("machine")),
    Part("lif", 40, own("lif")),
    Part("tests", 200, own("tests")),
    Part("tune", 80, own("tune"), interpreted=True),
    Part("recurrent", 35, own("recurrent")),
    Part("network", 35, own("network")),
    Part("spikingjelly", 35, own("spikingjelly")),
    Part("spiking_networks", 120, own("spiking_networks"), interpreted=True),
    Part("table", 80, table),
)


def run_part(part: Part, dry: bool, limit: float) -> Outcome:
    """Run a part to its end or to its limit; what it had written by then counts."""
    with tempfile.TemporaryDirectory() as folder:
        file, log = Path(folder, "figures.json"), Path(folder, "log")
        environment = {**os.environ, "TRITON_INTERPRET": "1"} if dry and part.interpreted else dict(os.environ)
        script, *arguments = part.command(file, dry)
        start = time.monotonic()
        with log.open("wb") as output:
            # A group of its own, so that what it started ends with it.
            process = subprocess.Popen(
                [sys.executable, str(HERE / script), *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=HERE.parent,
                env=environment,
                start_new_session=True,
            )
            try:
                status = "ok" if process.wait(limit) == 0 else "failed"
            except subprocess.TimeoutExpired:
                status = "timed out"
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        seconds = round(time.monotonic() - start, 1)
        lines = log.read_text(errors="replace").splitlines()
        result = _figures(file)
    return Outcome(part.name, status, seconds, result, [] if status == "ok" else lines[-LAST_LINES:])


def _figures(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):  # never written, or cut off
        return None


def run_all(parts: Sequence[Part], out: Path, *, dry: bool) -> list[Outcome]:
    """Run parts one after the other; no part starts a wait that the whole has no time for."""
    out.mkdir(parents=True, exist_ok=True)
    outcomes, end = [], time.monotonic() + WHOLE
    for part in parts:
        remaining = end - time.monotonic()
        if remaining < 1:
            outcomes.append(Outcome(part.name, "timed out", 0.0, last_lines=["no time was left for it"]))
        else:
            outcomes.append(run_part(part, dry, min(part.limit, remaining)))
        print(f"{part.name}: {outcomes[-1].status}, {outcomes[-1].seconds} s", flush=True)
        found = [asdict(outcome) for outcome in outcomes]
        (out / "gpu.json").write_text(json.dumps({"dry_run": dry, "parts": found}, indent=1) + "\n")
        (out / "gpu.md").write_text(markdown(found, dry=dry))
    return outcomes


def main() -> int:
    """The command line; the status is that of the worst part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for gpu.json and gpu.md")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes on the CPU")
    names = [part.name for part in PARTS]
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART", help=", ".join(names))
    parser.add_argument("--tables", type=Path, help="numbers of the cortical microcircuit, JSON; left out without")
    options = parser.parse_args()
    if options.tables is not None:
        os.environ[TABLES] = str(options.tables.resolve(strict=True))
    parts = [part for part in PARTS if part.name in options.parts]
    outcomes = run_all(parts, options.out.resolve(), dry=options.dry_run)
    return int(any(outcome.status != "ok" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
