"""Runs: pieces, states, checkpoints, files, what is watched, statistics."""

import math

import numpy as np
import pytest
import torch

import torchdyn_neuro as tdn
from tests.networks.small_networks import RULE, listed, net_of, one_input, poisson_network, same
from torchdyn_neuro import networks
from torchdyn_neuro.networks import Current, Population, Projection, SpikingNetwork


def test_pieces_equal_the_whole():
    net = poisson_network()
    whole, state, spikes = net.run(50.0), None, []
    for duration in (0.1, 20.0, 4.9, 25.0):
        piece = net.run(duration, state)
        state, spikes = piece.state, [*spikes, *listed(piece.spikes)]
    assert spikes == listed(whole.spikes)
    for a, b in zip(tdn.core.state.leaves(state), tdn.core.state.leaves(whole.state), strict=True):
        assert torch.equal(a, b)


def test_a_state_is_saved_and_goes_on(tmp_path):
    net = poisson_network()
    first = net.run(30.0)
    torch.save(first.state, tmp_path / "state.pt")
    again = torch.load(tmp_path / "state.pt", weights_only=True)
    assert same(poisson_network().run(20.0, again), net.run(20.0, first.state))


def test_a_run_that_ends_unplanned_goes_on_from_its_checkpoint(tmp_path):
    """Spikes and traces on disk are then those of a run without an end."""
    pytest.importorskip("h5py")
    net, watch = poisson_network(), {"I": {"v": [3, 96]}, "E": {"s_exc": torch.tensor([330])}}
    whole = net.run(160.0, watch=watch)
    checkpoint, file = tmp_path / "state.pt", tmp_path / "spikes.h5"

    def ends(done: float, factor: float) -> None:
        raise KeyboardInterrupt

    net.run(20.0, record=(writer := networks.SpikeFile(file)), watch=watch, checkpoint=checkpoint)
    state = torch.load(checkpoint, weights_only=True)
    options = {"watch": watch, "checkpoint": checkpoint, "interval": 150.0}
    with pytest.raises(KeyboardInterrupt):
        net.run(140.0, state, record=writer, progress=ends, **options)
    state = torch.load(checkpoint, weights_only=True)
    assert int(state.step) == 200
    assert writer.read().spikes.end == 1200
    with pytest.raises(FileExistsError, match="SpikeFile: expected no file yet"):
        networks.SpikeFile(file)
    net.run(140.0, state, record=networks.SpikeFile(file, state), **options)
    found = writer.read()
    assert listed(found.spikes) == listed(whole.spikes)
    assert (found.spikes.begin, found.spikes.end, found.spikes.populations) == (0, 1600, whole.spikes.populations)
    for population, fields in watch.items():
        for field in fields:
            assert torch.equal(found.traces[population][field], whole.traces[population][field])
    assert whole.traces["I"]["v"].shape == (1600, 2)


@pytest.mark.parametrize("flushed", [True, False])
def test_a_file_left_within_a_piece_holds_what_was_whole_or_says_so(flushed, tmp_path, monkeypatch):
    """What lies on the disk at each moment of a second piece is all that a process killed then leaves."""
    pytest.importorskip("h5py")
    net, path, left = poisson_network(), tmp_path / "spikes.h5", []
    first = net.run(20.0, watch={"E": {"v": [3]}})
    second = net.run(20.0, first.state, watch={"E": {"v": [3]}})
    writer, append = networks.SpikeFile(path), networks.spike_file._append
    pieces = [networks.Piece(run.spikes, run.traces) for run in (first, second)]
    writer(pieces[0])

    def killed(file, *rest):
        append(file, *rest)
        if flushed:
            file.flush()
        left.append(tmp_path / f"left{len(left)}.h5")
        left[-1].write_bytes(path.read_bytes())

    monkeypatch.setattr(networks.spike_file, "_append", killed)
    writer(pieces[1])
    monkeypatch.undo()
    assert len(left) == 3
    for copy in left:
        found = networks.SpikeFile(copy, first.state).read()
        assert listed(found.spikes) == listed(first.spikes)
        assert torch.equal(found.traces["E"]["v"], first.traces["E"]["v"])
        networks.SpikeFile(copy, first.state)(pieces[1])
        assert listed(networks.SpikeFile(copy, second.state).read().spikes) == listed(writer.read().spikes)
    left[0].write_bytes(left[0].read_bytes()[:100])
    with pytest.raises(OSError, match=r"SpikeFile: expected a file that HDF5 can read, got .* within a piece"):
        networks.SpikeFile(left[0], first.state)


def test_what_is_watched_is_the_state_after_each_step():
    net = poisson_network()
    watched = net.run(2.0, watch={"E": {"v": range(331), "refractory": [7]}}).traces["E"]
    state = None
    for step in range(20):
        state = net.run(0.1, state).state
        assert torch.equal(watched["v"][step], state.cells[0].v.flatten())
        assert watched["refractory"][step] == state.cells[0].refractory[0, 7]


def test_a_bar_shows_progress(capsys):
    poisson_network().run(5.0, progress=True)
    assert "times real time" in capsys.readouterr().out


def test_spikes_are_handed_over_in_pieces():
    net, pieces = poisson_network(), []
    told = []
    found = net.run(150.0, record=pieces.append, progress=lambda done, factor: told.append(done))
    assert found.spikes == ()
    assert told == pytest.approx([100.0, 150.0])
    assert [pair for piece in pieces for pair in listed(piece.spikes)] == listed(net.run(150.0).spikes)
    assert [(piece.spikes.begin, piece.spikes.end) for piece in pieces] == [(0, 1000), (1000, 1500)]


def test_a_full_record_ends_a_piece(monkeypatch):
    """All cells fire in every step: there is room for a few steps only."""
    monkeypatch.setattr(networks.engine, "_ROOM", 64)
    cell = tdn.LIF(5.0, v_th=0.1, reset="zero", dt=0.1)
    net = SpikingNetwork({"N": Population(100, cell, drives=[Current(1e3)])}, owners=2)
    sizes = []
    net.run(5.0, record=lambda piece: sizes.append(piece.spikes.end - piece.spikes.begin))
    assert sum(sizes) == 50
    assert max(sizes) < 50
    assert len(net.run(5.0).spikes) == 5000


def test_statistics_of_spikes():
    step = torch.tensor([0, 10, 20, 30, 5, 6, 25, 39], dtype=torch.int32)
    neuron = torch.tensor([0, 0, 0, 0, 1, 3, 1, 1], dtype=torch.int32)
    order = torch.argsort(step.long() * 10 + neuron)
    spikes = networks.Spikes(step[order], neuron[order], 0, 40, 0.5, {"A": 2, "B": 3})
    assert spikes.rate("A") == pytest.approx(7 / 2 / 0.02)
    gaps = np.array([20, 14]) * 0.5
    assert spikes.cv("A") == pytest.approx((0 + gaps.std() / gaps.mean()) / 2)
    times, neurons = spikes["B"]
    assert times.tolist() == [3.5]
    assert neurons.tolist() == [1]
    counts = np.histogram(np.array([0, 10, 20, 30, 5, 25, 39]), bins=np.arange(0, 41, 10))[0]
    assert spikes.synchrony("A", 5.0) == pytest.approx(counts.var() / counts.mean())


@pytest.mark.parametrize(
    "change",
    [
        {"step": torch.tensor(-5)},
        {"recent": torch.zeros(1, 2, dtype=torch.int64)},
        {"recent": torch.zeros(2, dtype=torch.int32)},
        {"recent": torch.tensor([[1, 11]], dtype=torch.int32)},
        {"recent": torch.tensor([[20, 0]], dtype=torch.int32)},
        {"recent": torch.tensor([[1, 0], [0, 0]], dtype=torch.int32)},
        {"cells": ()},
    ],
    ids=str,
)
def test_a_state_that_is_none_is_refused(change):
    net = net_of(Projection("A", "B", RULE, 1.0, 0.5))
    state = net.run(2.0).state
    with pytest.raises(ValueError, match="expected a state of 2 populations of 11 neurons"):
        net.run(1.0, state._replace(**change))
    with pytest.raises(TypeError, match="expected a SpikingNetworkState, got tuple"):
        net.run(1.0, state.cells)


def test_a_state_of_shorter_delays_is_refused():
    """It lacks spikes that have not arrived yet; one of longer delays holds more than is needed."""
    short, long = (net_of(Projection("A", "B", RULE, 1.0, delay)) for delay in (0.2, 0.5))
    with pytest.raises(
        ValueError, match=r"expected a state with the spikes of the last 5 steps, .* got those of 2; pass"
    ):
        long.run(1.0, short.run(1.0).state)
    assert int(short.run(1.0, long.run(1.0).state).state.step) == 20
    long.run(1.0, short.initial_state())


def test_what_is_no_number_ends_a_run():
    """As a spike it would be NaN, which a list cannot hold."""
    pieces = []
    with pytest.raises(ValueError, match="numbers in the state of B, got NaN in 1 of its neurons between steps 0 and"):
        one_input(torch.tensor([1.0, math.nan])).run(0.3, record=pieces.append)
    assert pieces == []


def test_what_was_counted_in_steps_keeps_its_steps():
    net = net_of(Projection("A", "B", RULE, 1.0, 0.5))
    with pytest.raises(
        ValueError, match=r"SpikingNetwork: expected steps of 0.1 ms, in which .*, got dt=0.2 ms; build"
    ):
        tdn.set_dt(net, 0.2)
    assert net.populations["A"].cell.dt == 0.1
    tdn.set_dt(net.populations["A"], 0.2)
    with pytest.raises(
        ValueError, match=r"SpikingNetwork: expected steps of 0.1 ms, in which .*, got dt=0.2 ms; build"
    ):
        net.run(1.0)
    with pytest.raises(ValueError, match="expected a network on the CPU or on one CUDA device, got one on meta"):
        net_of().to("meta").run(1.0)


def test_a_compiled_run_is_a_run():
    """The compiler would take minutes over what is C++ already."""
    net, calls = poisson_network(), []

    def compiler(graph, inputs):
        calls.append(graph)
        return graph.forward

    def run(scale: torch.Tensor) -> networks.Run:
        return net.run(2.0)._replace(seconds=scale + 1)

    assert same(torch.compile(net.run, backend=compiler)(2.0), net.run(2.0))
    assert calls == []
    found = torch.compile(run, backend=compiler)(torch.ones(1))
    assert same(found, net.run(2.0))
    assert (found.seconds.item(), len(calls)) == (2.0, 1)
