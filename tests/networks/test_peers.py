"""Networks against NEST and Brian2, spike by spike, where ``TORCHDYN_NEURO_PEERS`` names a Python that has them."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.networks import Population, Projection, SpikeSource, SpikingNetwork
from torchdyn_neuro.wiring import Given

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "network_peers.py"
PYTHON = os.environ.get("TORCHDYN_NEURO_PEERS")
EXCITATORY, NEURONS, TRAINS = 800, 1000, 100
CELL = {"tau_mem": 10.0, "tau_exc": 0.5, "tau_inh": 2.0, "C": 250.0, "v_th": 15.0, "v_reset": 1.0, "t_ref": 2.0}


def described(dt: float = 0.1, duration: float = 200.0) -> dict[str, np.ndarray | float]:
    """A network with 50 inputs a cell, delays of 1 to 40 steps, some pairs more than once, and given spikes."""
    generator = np.random.default_rng(1)
    pre = generator.integers(NEURONS + TRAINS, size=50 * NEURONS)
    inhibits = (pre >= EXCITATORY) & (pre < NEURONS)
    # Whole multiples of a power of two, so that no order of arrivals changes their sums.
    weight = np.round(generator.uniform(100.0, 400.0, len(pre)) * 64) / 64
    fired = np.argwhere(generator.random((round(duration / dt), TRAINS)) < 0.004)
    return CELL | {
        "dt": dt,
        "duration": duration,
        "current": generator.uniform(250.0, 450.0, NEURONS),
        "first": generator.uniform(0.0, 15.0, NEURONS),
        "pre": pre,
        "post": generator.integers(NEURONS, size=len(pre)),
        "weight": np.where(inhibits, -3 * weight, weight),
        "delay": generator.integers(1, 40, len(pre)),
        "given_step": fired[:, 0],
        "given_train": fired[:, 1],
    }


def ours(given: dict, sources: bool = True) -> list[tuple[int, int]]:
    """Step and neuron of each spike."""
    dt = given["dt"]
    cell = tdn.TwoSynapseLIF(
        given["tau_mem"],
        given["tau_exc"],
        given["tau_inh"],
        R=given["tau_mem"] / given["C"],
        I_e=torch.tensor(given["current"]),
        v_th=given["v_th"],
        v_reset=given["v_reset"],
        reset="value",
        t_ref=given["t_ref"],
        dt=dt,
    ).double()
    times = torch.tensor((given["given_step"] + 1) * dt)
    populations = {
        "N": Population(NEURONS, cell, inputs=("exc", "inh"), initial={"v": torch.tensor(given["first"])}),
        "given": SpikeSource(TRAINS, times, torch.tensor(given["given_train"])),
    }
    outside, excites = given["pre"] >= NEURONS, given["weight"] > 0
    kinds = [("N", "exc", ~outside & excites), ("N", "inh", ~outside & ~excites)]
    projections = []
    for name, receptor, chosen in [*kinds, ("given", "exc", outside)] if sources else kinds:
        pre, post, weight, delay = (torch.tensor(given[key][chosen]) for key in ("pre", "post", "weight", "delay"))
        rule = Given(pre - (NEURONS if name == "given" else 0), post, weight=weight, delay=delay * dt)
        projections.append(Projection(name, "N", rule, receptor=receptor))
    spikes = SpikingNetwork(populations, projections, dtype=torch.float64).run(given["duration"]).spikes
    own = spikes.neuron < NEURONS
    return list(zip(spikes.step[own].tolist(), spikes.neuron[own].tolist(), strict=True))


@pytest.mark.skipif(PYTHON is None, reason="TORCHDYN_NEURO_PEERS names no Python with NEST and Brian2")
@pytest.mark.parametrize("simulator", ["nest", "brian2"])
def test_a_thousand_neurons_spike_as_elsewhere(simulator, tmp_path):
    given, network, found = described(), tmp_path / "network.npz", tmp_path / "spikes.npz"
    np.savez(network, **given)
    command = [PYTHON, str(SCRIPT), simulator, str(network), str(found)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(found) as read:
        expected = list(zip(read["step"].tolist(), read["neuron"].tolist(), strict=True))
    spikes = ours(given)
    assert len(expected) > 2 * NEURONS
    apart = next((pair for pair in zip(spikes, expected, strict=False) if pair[0] != pair[1]), None)
    assert spikes == expected, f"{len(spikes)} and {len(expected)} spikes, apart from {apart} on"
    assert ours(given, sources=False) != expected
