"""What the tests of the benchmarks share."""

import runpy
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a benchmark with the words of its command line; what it prints.

    In this process: a new one takes longer to import torch than such a small benchmark to run.
    """

    def run(name: str, *words: object) -> str:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
        threads = torch.get_num_threads()
        try:
            # The other libraries warn about themselves, and each other, at import.
            with warnings.catch_warnings(action="ignore"), torch.random.fork_rng():
                runpy.run_path(str(BENCHMARKS / name), run_name="__main__")
        finally:
            torch.set_num_threads(threads)
        return capsys.readouterr().out

    return run
