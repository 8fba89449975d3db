"""Every cell's kernels, compiled for sm_90 without a card; ``test_triton.py`` starts this with an empty cache."""

import pytest
import torch

from torchdyn_neuro.fused.loops import get_loop
from torchdyn_neuro.fused.triton_source import emit_backward, emit_forward

from .cells import fused_cells
from .offline_compile import spills_and_registers

CELLS = {name: get_loop(fused.key) for name, _, fused in fused_cells("triton", torch.float32)}


SPILLED_BYTES = {"HodgkinHuxley": 8}
"""The four rate functions and their derivatives fill the 255 registers of a thread and two more."""


@pytest.mark.parametrize("name", CELLS)
def test_no_cell_spills(name):
    # The backward loop computes the steps again, so what it holds in registers bounds the forward loop.
    spilled, _ = spills_and_registers(emit_backward(CELLS[name].backward_plan))
    assert spilled <= SPILLED_BYTES.get(name, 0)


@pytest.mark.parametrize("name", ["LIF", "SynapticLIF"])
def test_the_forward_loop_compiles_too(name):
    spilled, registers = spills_and_registers(emit_forward(CELLS[name].kernels.forward_plan))
    assert spilled == 0
    assert registers <= 64


def test_the_cells_are_there():
    assert {"LIF", "SynapticLIF", "ExponentialSynapse", "LeakyIntegrator"} <= set(CELLS)
