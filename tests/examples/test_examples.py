"""Every example runs, as a user would run it."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_example_runs(path, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(path)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHDYN_NEURO_QUICK", "1")  # long examples take fewer samples
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out, "an example says what it found"
