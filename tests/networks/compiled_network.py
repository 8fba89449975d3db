"""The kernels of a network, compiled for sm_90 without a card; ``tests/fused/test_triton.py`` starts this."""

from dataclasses import replace

import pytest
import torch

import torchdyn_neuro as tdn
from tests.fused.offline_compile import launched
from torchdyn_neuro.networks import Poisson, Population, Projection, SpikingNetwork
from torchdyn_neuro.networks.cuda.engine import CudaEngine
from torchdyn_neuro.networks.cuda.loaded import FEW, MANY
from torchdyn_neuro.wiring import FixedProbability

from .cards import circuit


def compiled_by(net: SpikingNetwork, monkeypatch: pytest.MonkeyPatch, block: tuple[int, int]):
    """What a step launches, compiled as on a card, together with spikes from before."""
    monkeypatch.setattr(SpikingNetwork, "_on_card", True)
    monkeypatch.setattr(CudaEngine, "_programs", 528)
    steps, state = net._begin(2 * net.dt, None)
    engine = net._engine(state, [(0, 0, torch.tensor([0, 1]))])
    engine.on_card = engine.overlaps = True
    engine.here = replace(engine.here, block=block[0], warps=block[1])
    engine._make_room(steps)
    with launched() as compiled, torch.no_grad():
        engine._start(1, torch.tensor([[0, 1]], dtype=torch.int32))
        engine._launch(1)
    assert all("cubin" in kernel.asm for kernel in compiled)
    return compiled


@pytest.mark.parametrize(("dtype", "frozen"), [(torch.float32, False), (torch.float64, False), (torch.float32, True)])
def test_every_kernel_of_a_step(monkeypatch, dtype, frozen):
    net = circuit(dtype)
    if frozen:
        net.freeze()
    compiled = compiled_by(net, monkeypatch, FEW)
    assert [kernel.name for kernel in compiled] == ["deliver_late", "run", "run", "give", "deliver", "look"]


@pytest.mark.parametrize("cell", [tdn.AdEx(dt=0.1), tdn.LIF(noise=tdn.WhiteNoise(1.0), dt=0.1), tdn.EscapeLIF(dt=0.1)])
def test_other_cells_and_wide_blocks(monkeypatch, cell):
    """And delays of one step, for which Triton takes the number of slots for a constant."""
    back = Projection("E", "E", FixedProbability(0.1), 1.0, 0.1)
    net = SpikingNetwork({"E": Population(100, cell, drives=[Poisson(1000.0, 1.0)])}, [back])
    compiled = compiled_by(net, monkeypatch, MANY)
    assert [kernel.name for kernel in compiled] == ["deliver_late", "run", "deliver", "look"]
