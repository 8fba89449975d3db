"""Triton without a GPU: the kernels in its interpreter, and compiled for a card that is not there."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.fused.fuse import fuse
from torchdyn_neuro.fused.operators.registry import get_loop
from torchdyn_neuro.fused.signature import signature
from torchdyn_neuro.fused.triton import kernels as triton
from torchdyn_neuro.fused.triton.kernels import load_kernel
from torchdyn_neuro.fused.triton.source import emit_backward, emit_forward
from torchdyn_neuro.native.compiler import CompilerUnavailableError

FOLDER = Path(__file__).parent
pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


def run_in_a_process(*files: str, **variables: str) -> None:
    # Triton reads its settings when it is imported. In its interpreter the lanes outside a tensor compute with zeros.
    options = ["-q", "--noconftest", "-o", "addopts=", "-p", "no:cacheprovider", "-W", "ignore::RuntimeWarning"]
    command = [sys.executable, "-m", "pytest", *(str(FOLDER.parent / file) for file in files), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, cwd=FOLDER.parents[1])
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_in_the_interpreter_every_operation_and_every_cell_equals_the_eager_loop():
    run_in_a_process("fused/interpreted_triton.py", "networks/interpreted_network.py", TRITON_INTERPRET="1")


def test_compiled_for_sm_90_no_cell_spills(tmp_path):
    run_in_a_process("fused/compiled_triton.py", "networks/compiled_network.py", TRITON_CACHE_DIR=str(tmp_path))


def test_without_triton_the_reason_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(CompilerUnavailableError, match="Triton"):
        load_kernel("import triton\n")


@pytest.mark.parametrize("every", [8, 500])
def test_sizes_are_not_compiled_in_and_nothing_is_divided_in_the_loop(every):
    cell, x = tdn.LIF(tau_mem=tdn.Learned(10.0)), torch.ones(4, 2, 3, requires_grad=True)
    loop = get_loop(fuse(cell, signature(x, cell.initial_state(x[0].detach()), None), "triton").key)
    sources = emit_forward(loop.kernels.forward_plan, every), emit_backward(loop.backward_plan, every)
    for source in sources:
        listed = re.search(r"do_not_specialize=\[(.*?)\]", source).group(1)
        assert {"T", "M", "x0_stride"} <= set(re.findall(r"\w+", listed))
        assert "tl.int64" in source
        assert "atomic" not in source
        assert source.count("tl.load") < 60  # the length of a segment that is written in a loop is not in it
        assert not re.search(r"//|%", source.split("for segment in ")[1].split("\n", 1)[1])


@pytest.mark.parametrize("elements", [1, triton._FEW_ELEMENTS - 1, triton._FEW_ELEMENTS, 1 << 30])
def test_blocks_of_a_card_have_an_element_for_each_thread_and_round_nothing_together(elements):
    block, options = triton._block(elements, on_card=True)
    assert block == 32 * options["num_warps"]
    assert options["enable_fp_fusion"] is False
    assert block == 32 or elements >= triton._FEW_ELEMENTS


class Kernel:
    """In the place of a jitted function."""

    def __init__(self, error=None):
        self.error, self.calls = error, []

    def __getitem__(self, grid):
        def launch(*arguments, **options):
            self.calls.append((grid, arguments, options))
            if self.error is not None:
                raise self.error

        return launch


def test_an_absent_tensor_is_a_pointer_behind_a_flag():
    kernel, x = Kernel(), torch.zeros(4, 2, 3)
    triton._launch({}, kernel, x.shape, [None, x], [24], {"HAS_last0": False})
    ((grid, arguments, options),) = kernel.calls
    assert grid == (1, 1, 1)
    assert arguments == (x, x, 4, 6, 24)
    assert options == {"HAS_last0": False, "BLOCK": 8}


def test_what_a_card_refuses_is_left_to_the_eager_loop_but_not_that_it_is_full():
    x = torch.zeros(4, 2, 3)
    with pytest.raises(CompilerUnavailableError, match="out of registers"):
        triton._launch({}, Kernel(RuntimeError("out of registers")), x.shape, [x], [], {})
    with pytest.raises(torch.OutOfMemoryError):
        triton._launch({}, Kernel(torch.OutOfMemoryError("full")), x.shape, [x], [], {})
