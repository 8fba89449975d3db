"""The benchmark runs from the command line and writes figures that make sense."""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import time_loop


def test_writes_a_table_and_the_figures(script, tmp_path):
    file = tmp_path / "figures.json"
    options = ["--scale", "0.05", "--repeats", "2", "--no-peers", "--threads", "1"]
    cases = ["lif", "recurrent", "adaptive", "convolution"]
    assert "ours fused" in script("time_loop.py", *options, "--cases", *cases, "--no-first-call", "--json", file)
    figures = json.loads(file.read_text())
    assert figures["machine"]["torch"]
    rows = {(row["case"], row["name"]): row for row in figures["rows"]}
    ours = {"ours eager", "ours fused"}
    assert {name for case, name in rows if case in ("lif", "adaptive")} == ours
    assert {name for case, name in rows if case == "recurrent"} == ours | {"ours fused, events"}
    assert {name for case, name in rows if case == "convolution"} >= {"ours fused", "ours fused, channels last"}
    for row in rows.values():
        assert row["error"] is None
        assert row["forward"] > 0
        assert row["backward"] > 0
    eager = rows["lif", "ours eager"]
    assert eager["ratio_to_eager"] == 1
    assert eager["ratio_to_best_peer"] is None
    assert eager["bandwidth_share"] > 0
    assert eager["saved_bytes_per_element"] == pytest.approx(4.0, abs=0.1)  # v - v_th of every step, in float32
    assert rows["recurrent", "ours eager"]["bandwidth_share"] is None


def test_an_unknown_case_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["time_loop.py", "--cases", "nothing"])
    with pytest.raises(SystemExit, match="2"):
        time_loop.arguments()
    assert "invalid choice" in capsys.readouterr().err
