"""The benchmark runs from the command line and writes figures that make sense."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_writes_tables_and_figures(tmp_path):
    file = tmp_path / "figures.json"
    options = ["--sizes", "64", "--rows", "8", "--network-sizes", "50", "--steps", "60", "--repeats", "1"]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "events.py", *options, "--threads", "1", "--json", str(file)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "sparse propagation" in done.stdout
    figures = json.loads(file.read_text())
    assert figures["machine"]["torch"]
    assert [row["case"] for row in figures["rows"]] == ["propagation"] * 5 + ["network"] * 3
    assert all(seconds > 0 for row in figures["rows"] for seconds in row["seconds"].values())
    assert figures["rows"][-1]["activity"] > 0
