"""The kernels of a network on a GPU, run in Triton's interpreter, against the engine of the CPU.

``tests/fused/test_triton.py`` starts this.
"""

import pytest
import torch
from triton.runtime import interpreter

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import leaves
from torchdyn_neuro.networks import Poisson, Population, Projection, SpikingNetwork
from torchdyn_neuro.wiring import FixedInDegree, Normal

from .cards import DT, circuit


def _with_indices(patch):
    """The interpreters of triton 3.5 and 3.6 take an array of one element for a number, which numpy 2.5 refuses."""

    def patched(tensor, *scope):
        patch(tensor, *scope)
        tensor.__index__ = lambda self: int(self.handle.data.item())

    return patched


interpreter._patch_lang_tensor = _with_indices(interpreter._patch_lang_tensor)
WATCH = {"E": {"v": [0, 149, 3]}, "A": {"v": [19]}}


@pytest.fixture
def on_card(monkeypatch):
    return lambda chosen: monkeypatch.setattr(SpikingNetwork, "_on_card", chosen)


def same(found, expected):
    assert torch.equal(found.spikes.step, expected.spikes.step)
    assert torch.equal(found.spikes.neuron, expected.spikes.neuron)
    for one, other in zip(leaves(found.state), leaves(expected.state), strict=True):
        assert torch.equal(one, other)
    for name, fields in expected.traces.items():
        for field, trace in fields.items():
            assert torch.equal(found.traces[name][field], trace)


@pytest.mark.parametrize(("dtype", "frozen"), [(torch.float32, False), (torch.float64, False), (torch.float32, True)])
def test_spikes_states_and_traces_are_those_of_the_cpu(on_card, dtype, frozen):
    net = circuit(dtype)
    if frozen:
        net.freeze()
    expected = net.run(25 * DT, watch=WATCH)
    on_card(True)
    found = net.run(25 * DT, watch=WATCH)
    same(found, expected)
    assert all(len(found.spikes[name][0]) > 9 for name in ("E", "I", "A", "first"))
    assert found.figures.events > 500
