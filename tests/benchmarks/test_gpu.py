"""What runs on the day that there is a GPU runs here too, with tiny sizes; and no part of it harms another."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import torchdyn_neuro as tdn

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import gpu
import gpu_measure
import measure
from gpu_parts import PARTS
from gpu_report import markdown
from gpu_tune import chosen

ROOT = Path(__file__).parents[2]


# Those need a process: one starts a test run of its own, the other Triton's interpreter, chosen when it is imported.
STARTED = [part.name for part in gpu.PARTS if part.interpreted or part.name == "tests"]
OTHERS = [part for part in gpu.PARTS if part.name not in STARTED]


def test_the_script_in_a_dry_run(tmp_path):
    command = ["bash", ROOT / "benchmarks" / "gpu.sh", tmp_path / "out", "--dry-run", "--parts", *STARTED]
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    # As on a bare machine, where nobody has named a folder for the loops.
    environment["XDG_CACHE_HOME"] = environment.pop("TORCHDYN_NEURO_CACHE", str(tmp_path))
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "out" / "gpu.md").read_text()
    found = json.loads((tmp_path / "out" / "gpu.json").read_text())
    assert found["dry_run"]
    parts = {part["name"]: part["result"] for part in found["parts"]}
    assert list(parts) == STARTED == ["tests", "tune", "spiking_networks"]
    assert parts["tests"]["run"] > 1
    assert parts["tests"]["failed"] == 0
    assert parts["tune"]["advice"]
    assert {"block", "warps", "segment"} <= parts["tune"]["rows"][0].keys()
    assert parts["spiking_networks"]["rates agree"]
    assert "left out" in parts["spiking_networks"]["note"]


@pytest.mark.parametrize("part", OTHERS, ids=lambda part: part.name)
def test_a_part_in_a_dry_run(part, script, tmp_path):
    """By the command that the script starts for it."""
    file = tmp_path / "figures.json"
    script(*part.command(file, True))
    result = json.loads(file.read_text())
    if part.name == "machine":
        assert result["copy GB/s"] > 0
    elif part.name == "lif":
        assert {row["dtype"] for row in result["rows"]} == {"torch.float32", "torch.bfloat16"}
        outcome = asdict(gpu.Outcome(part.name, "ok", 1.0, result))
        assert "| of bandwidth |" in markdown([outcome], dry=True)
    elif part.name in ("recurrent", "network"):
        assert result["largest difference"] < 1e-3
        assert result["times eager"] > 0
    elif part.name == "table":
        assert {row["case"] for row in result["rows"]} == {"lif", "recurrent"}


@pytest.fixture
def parts(tmp_path):
    """A part that is well, one that fails after a first figure, one that never ends, and one that is well again."""
    scripts = {
        "well": "open(file, 'w').write('{\"rows\": [{\"a|b\": 1.23456}]}')",
        "fails": "open(file, 'w').write('{\"copies\": 2}'); print('so far'); raise ValueError('no such card')",
        "never ends": "open(file, 'w').write('{\"cut'); print('waiting', flush=True); time.sleep(1000)",
        "well again": "open(file, 'w').write('{}')",
    }
    found = []
    for name, script in scripts.items():
        path = tmp_path / f"{name}.py"
        path.write_text(f"import sys, time; file = sys.argv[1]; {script}")
        limit = 3.0 if name == "never ends" else 100.0
        found.append(gpu.Part(name, limit, lambda file, dry, path=path: [str(path), str(file)]))
    return found


def test_a_part_that_fails_or_never_ends_is_reported_and_the_rest_goes_on(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "PARTS", parts)
    monkeypatch.setattr(sys, "argv", ["gpu.py", str(tmp_path / "out")])
    assert gpu.main() == 1
    found = json.loads((tmp_path / "out" / "gpu.json").read_text())["parts"]
    assert [part["status"] for part in found] == ["ok", "failed", "timed out", "ok"]
    assert [part["result"] for part in found] == [{"rows": [{"a|b": 1.23456}]}, {"copies": 2}, None, {}]
    assert found[1]["last_lines"][-1] == "ValueError: no such card"
    assert found[2]["last_lines"] == ["waiting"]
    report = (tmp_path / "out" / "gpu.md").read_text()
    assert "no such card" in report
    assert "- copies: 2" in report
    assert "| 1.23 |" in report


def test_what_is_well_ends_with_zero_and_time_is_kept_for_the_rest(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "PARTS", parts)
    monkeypatch.setattr(sys, "argv", ["gpu.py", str(tmp_path / "out"), "--parts", "well again", "well"])
    assert gpu.main() == 0
    monkeypatch.setattr(gpu, "WHOLE", 0.0)
    outcomes = gpu.run_all(parts, tmp_path / "none", dry=False)
    assert {outcome.status for outcome in outcomes} == {"timed out"}


def test_it_ends_within_eight_minutes_and_runs_every_part():
    assert gpu.WHOLE < 480
    assert {part.name for part in gpu.PARTS} == {*PARTS, "table"}


def test_a_choice_is_recommended_only_where_it_is_worth_a_change():
    assert chosen({"now": 1.0, "a little": 0.96, "slow": 2.0}, "now") == "now"
    assert chosen({"now": 1.0, "much": 0.94, "more": 0.9}, "now") == "more"


class Event:
    """In the place of ``torch.cuda.Event``: one millisecond lies between any two that follow each other."""

    count = 0

    def __init__(self, *, enable_timing):
        assert enable_timing

    def record(self):
        Event.count += 1
        self.number = Event.count

    def elapsed_time(self, later):
        return float(later.number - self.number)


def test_what_is_measured_on_a_card(tmp_path, monkeypatch):
    """The lines for a card, with its clock and its count of memory played by a CPU."""
    for module in (measure, gpu_measure):
        monkeypatch.setattr(module, "on_card", lambda device: True)
    allocated = {"memory_allocated": 100, "max_memory_allocated": 1300}
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda *device: None)
    for name, value in allocated.items():
        monkeypatch.setattr(torch.cuda, name, lambda *device, value=value: value)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(measure, "CARD_COPY", 1 << 12)
    setting = gpu_measure.Setting(dry=True, file=tmp_path / "figures.json")
    cell, x = tdn.LIF(), torch.rand(6, 2, 10, requires_grad=True)
    found = gpu_measure.measured(setting, cell, x, "eager", 3)
    assert found["forward ms"] == found["backward ms"] == 1.0
    assert found["peak B/element"] == 10.0
    assert setting.bandwidth() > 0
    candidate = measure.Candidate("ours", cell, cell)
    timings, bandwidth = measure.compare([candidate], x, 2)
    assert timings["ours"].peak_bytes == 1200
    assert bandwidth > 0
    assert measure.machine(setting.device, ())["device"] == "a card"


def test_on_a_card_the_sizes_are_those_of_the_issue(tmp_path):
    setting = gpu_measure.Setting(dry=False, file=tmp_path / "figures.json")
    assert (setting.device.type, setting.fused) == ("cuda", "triton")
    assert setting.size((100, 256, 4096), (1, 1, 1)) == (100, 256, 4096)
    commands = {part.name: part.command(setting.file, False) for part in gpu.PARTS}
    assert "--dry-run" not in commands["lif"]
    assert commands["table"][-6:-4] == ["--device", "cuda"]
