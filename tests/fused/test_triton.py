"""Triton without a GPU: the kernels in its interpreter, and compiled for a card that is not there."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


def run_in_a_process(file: str, **variables: str) -> None:
    # Triton reads its settings when it is imported. In its interpreter the lanes outside a tensor compute with zeros.
    options = ["-q", "-o", "addopts=", "-p", "no:cacheprovider", "-W", "ignore::RuntimeWarning"]
    command = [sys.executable, "-m", "pytest", str(FOLDER / file), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, cwd=FOLDER.parents[1])
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_in_the_interpreter_every_operation_and_every_cell_equals_the_eager_loop():
    run_in_a_process("interpreted_triton.py", TRITON_INTERPRET="1")


def test_compiled_for_sm_90_no_cell_spills(tmp_path):
    run_in_a_process("compiled_triton.py", TRITON_CACHE_DIR=str(tmp_path))
