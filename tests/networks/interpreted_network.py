"""The kernels of a network on a GPU, run in Triton's interpreter, against the engine of the CPU.

``tests/fused/test_triton.py`` starts this.
"""

import pytest
import torch

import torchdyn_neuro as tdn
from tests.fused.triton_interpreter import let_elements_be_indices
from torchdyn_neuro.core.state import leaves
from torchdyn_neuro.networks import Current, Population, Projection, SpikingNetwork
from torchdyn_neuro.networks.cuda import engine, synapses
from torchdyn_neuro.wiring import FixedProbability

from .cards import DT, circuit
from .test_cuda_network import WATCH, driven, same

let_elements_be_indices()


@pytest.fixture
def on_card(monkeypatch):
    return lambda chosen: monkeypatch.setattr(SpikingNetwork, "_on_card", chosen)


@pytest.mark.parametrize("frozen", [False, True])
def test_spikes_states_and_traces_are_those_of_the_cpu(on_card, frozen):
    net = circuit()
    if frozen:
        net.freeze()
    expected = net.run(10 * DT, watch=WATCH)
    on_card(True)
    found = net.run(10 * DT, watch=WATCH)
    same(found, expected)
    assert all(len(found.spikes[name][0]) > 1 for name in ("E", "I", "A", "first"))
    assert found.figures.events > 100


def test_a_run_in_pieces_and_launches_from_the_cpu_and_back(on_card, monkeypatch):
    """In float64 with words of 64 bits; as on a card, where a recording always launches all of its steps."""
    launch = engine.CudaEngine._launch
    monkeypatch.setattr(engine.CudaEngine, "_launch", lambda self, steps: launch(self, self.count))
    monkeypatch.setattr(engine, "_STEPS", 4)
    monkeypatch.setattr(synapses, "_WORD", 0)
    net = circuit(torch.float64, owners=3)
    whole, pieces, state = net.run(25 * DT), [], None
    for chosen, steps in ((False, 9), (True, 6), (True, 2), (False, 8)):
        on_card(chosen)
        pieces.append(net.run(steps * DT, state, watch=WATCH))
        state = pieces[-1].state
    assert torch.equal(torch.cat([run.spikes.neuron for run in pieces]), whole.spikes.neuron)
    for one, other in zip(leaves(state), leaves(whole.state), strict=True):
        assert torch.equal(one, other)
    assert (pieces[2].spikes.begin, pieces[2].spikes.end) == (15, 17)


def test_noise_of_a_cell_and_weights_of_any_size(on_card):
    net = driven(24)
    state = net.run(0.1 * (int(net.run(50.0).spikes.step[4]) - 4)).state
    expected = net.run(0.8, state)
    on_card(True)
    net.run(0.3)
    found = net.run(0.8, state)  # by what the run before has left
    assert len(found.spikes) > 0
    assert torch.equal(found.spikes.neuron, expected.spikes.neuron)
    for one, other in zip(leaves(found.state.cells), leaves(expected.state.cells), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_state_without_a_number_ends_the_run(on_card):
    on_card(True)
    net = circuit()
    state = net.initial_state()
    state.cells[0].v[0, 5] = float("nan")
    with pytest.raises(ValueError, match="expected numbers in the state of E, got NaN in 1 of its neurons"):
        net.run(1 * DT, state)


def test_no_synapses_and_all_neurons_at_once(on_card, monkeypatch):
    """There is room for the spikes of two steps, after which the host fetches them."""
    monkeypatch.setattr(engine, "_ROOM", 0)
    monkeypatch.setattr(engine, "_LIKELY", 8)
    on_card(True)
    cell = tdn.LIF(20.0, v_th=0.5, dt=0.5)
    every = SpikingNetwork({"E": Population(200, cell, drives=[Current(50.0)])})
    spikes = every.run(5 * DT).spikes
    assert torch.equal(spikes.neuron, torch.arange(200, dtype=torch.int32).repeat(5))
    assert torch.equal(spikes.step, torch.arange(5, dtype=torch.int32).repeat_interleave(200))
    none = Projection("E", "E", FixedProbability(0.0), 1.0, 0.5)
    assert len(SpikingNetwork({"E": Population(3, tdn.LIF(dt=0.5))}, [none]).run(1.0).spikes) == 0
