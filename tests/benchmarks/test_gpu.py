"""What runs on the day that there is a GPU runs here too, with tiny sizes; and no part of it harms another."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import gpu
from gpu_parts import PARTS
from gpu_tune import chosen

ROOT = Path(__file__).parents[2]


def test_the_whole_script_in_a_dry_run(tmp_path):
    script = ["bash", ROOT / "benchmarks" / "gpu.sh", tmp_path / "out", "--dry-run"]
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "out" / "gpu.md").read_text()
    found = json.loads((tmp_path / "out" / "gpu.json").read_text())
    assert found["dry_run"]
    parts = {part["name"]: part["result"] for part in found["parts"]}
    assert list(parts) == [part.name for part in gpu.PARTS]
    assert parts["machine"]["copy GB/s"] > 0
    assert parts["tests"]["run"] > 1
    assert parts["tests"]["failed"] == 0
    assert parts["tune"]["advice"]
    assert {"block", "warps", "segment"} <= parts["tune"]["rows"][0].keys()
    assert {row["dtype"] for row in parts["lif"]["rows"]} == {"torch.float32", "torch.bfloat16"}
    for name in ("recurrent", "network"):
        assert parts[name]["largest difference"] < 1e-3
        assert parts[name]["times eager"] > 0
    assert {row["case"] for row in parts["table"]["rows"]} == {"lif", "recurrent"}
    assert "| of bandwidth |" in (tmp_path / "out" / "gpu.md").read_text()


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
