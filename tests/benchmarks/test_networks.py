"""The benchmark of networks runs from the command line and counts what there is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_writes_a_table_and_figures(tmp_path):
    file = tmp_path / "figures.json"
    options = ["--neurons", "400", "--threads", "1", "--window", "20", "--json", str(file)]
    picture = tmp_path / "cost.png"
    # An interpreter without another simulator.
    options += ["--peers", sys.executable, "--simulators", "nest", "--picture", str(picture)]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "networks.py", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert "nest, coba 400: left out, for" in done.stdout
    assert picture.stat().st_size > 5000
    coba, row = json.loads(file.read_text())
    assert coba["name"] == "coba 400"
    # 40 trains that begin it, of which each neuron hears 8.
    assert (coba["neurons"], row["neurons"]) == (440, 400)
    assert coba["synapses"] == pytest.approx(400 * 88, rel=0.05)
    assert row["synapses"] == pytest.approx(400 * 80, rel=0.05)
    assert 6 < row["bytes"] < 8
    assert row["clock"] > 0
    assert row["rate"] > 0
