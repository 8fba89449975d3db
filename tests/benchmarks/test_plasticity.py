"""The benchmark runs from the command line, and the libraries end up with the same weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_writes_a_table_and_figures(tmp_path):
    file = tmp_path / "figures.json"
    options = ["--steps", "20", "--rows", "3", "--inputs", "30", "--neurons", "20", "--repeats", "1"]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "plasticity.py", *options, "--threads", "1", "--json", str(file)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "30 -> 20, T = 20, B = 3" in done.stdout
    figures = json.loads(file.read_text())
    assert figures["machine"]["torch"]
    assert [row["name"] for row in figures["rows"]][:2] == ["torchdyn_neuro, auto", "torchdyn_neuro, eager"]
    assert all(min(row["seconds"] + row["processor"]) > 0 for row in figures["rows"])
    for change, apart in figures["differences"].values():
        assert apart < 1e-2 * change
