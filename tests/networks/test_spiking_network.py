"""Networks against a simulation written here with NumPy, step by step and synapse by synapse."""

import math

import numpy as np
import pytest
import torch

import torchdyn_neuro as tdn
from tests.threads import on_threads
from torchdyn_neuro import networks, wiring
from torchdyn_neuro.networks import Current, Poisson, Population, Projection, SpikingNetwork
from torchdyn_neuro.wiring import Given

DT, TAU, TAU_E, TAU_I, V_TH, T_REF = 0.1, 10.0, 0.5, 2.0, 15.0, 2.0
SIZES = {"E": 800, "I": 200}


def synapses(generator: np.random.Generator, pre: int, post: int, count: int, sign: float) -> tuple[np.ndarray, ...]:
    """Neurons, weights and delays (steps) of so many synapses; some pairs come more than once."""
    weight = sign * generator.uniform(0.5, 1.5, count)
    return (
        generator.integers(pre, size=count),
        generator.integers(post, size=count),
        weight,
        generator.integers(1, 40, count),
    )


def reference(connections, currents, first, steps: int) -> list[tuple[int, int]]:
    """The spikes (step, neuron) of current-based cells with two exponential currents, exact on the grid."""
    decay, falls = math.exp(-DT / TAU), {0: math.exp(-DT / TAU_E), 1: math.exp(-DT / TAU_I)}
    # dv/dt = -v / tau + (s_0 + s_1 + I) / tau, solved over a step for each exponential.
    brings = {k: tau / (tau - TAU) * (falls[k] - decay) for k, tau in ((0, TAU_E), (1, TAU_I))}
    total = sum(SIZES.values())
    begin = {"E": 0, "I": SIZES["E"]}
    v, s, held = first.copy(), np.zeros((2, total)), np.zeros(total, int)
    arriving = np.zeros((steps + 64, 2, total))
    listed = [[] for _ in range(total)]
    for (source, target), (pre, post, weight, delay) in connections.items():
        for synapse in zip(pre + begin[source], post + begin[target], weight, delay, strict=True):
            listed[synapse[0]].append((0 if source == "E" else 1, *synapse[1:]))
    found = []
    for t in range(steps):
        moved = v * decay + brings[0] * s[0] + brings[1] * s[1] + (1 - decay) * currents
        v = np.where(held > 0, v, moved)
        s = np.stack([s[k] * falls[k] for k in (0, 1)]) + arriving[t]
        fired = (v >= V_TH) & (held == 0)
        held = np.maximum(held - 1, 0) + round(T_REF / DT) * fired
        v = np.where(fired, 0.0, v)
        for neuron in np.flatnonzero(fired):
            found.append((t, int(neuron)))
            for receptor, place, weight, delay in listed[neuron]:
                arriving[t + delay, receptor, place] += weight
    return found


def given_network(owners: int | None = None) -> tuple[SpikingNetwork, dict, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    connections = {
        (source, target): synapses(
            generator, SIZES[source], SIZES[target], 40 * SIZES[target], 20.0 if source == "E" else -9.0
        )
        for source in SIZES
        for target in SIZES
    }
    currents, first = generator.uniform(10.0, 22.0, 1000), generator.uniform(0.0, 15.0, 1000)
    populations, at = {}, 0
    for name, size in SIZES.items():
        part = slice(at, at + size)
        cell = tdn.TwoSynapseLIF(
            TAU,
            TAU_E,
            TAU_I,
            I_e=torch.tensor(currents[part]),
            v_th=V_TH,
            reset="zero",
            t_ref=T_REF,
            dt=DT,
        ).double()
        populations[name] = Population(size, cell, inputs=("exc", "inh"), initial={"v": torch.tensor(first[part])})
        at += size
    projections = []
    for (source, target), (pre, post, weight, delay) in connections.items():
        rule = Given(torch.tensor(pre), torch.tensor(post), weight=torch.tensor(weight), delay=torch.tensor(delay * DT))
        projections.append(Projection(source, target, rule, receptor="exc" if source == "E" else "inh"))
    net = SpikingNetwork(populations, projections, dtype=torch.float64, owners=owners)
    return net, connections, currents, first


def listed(spikes: networks.Spikes) -> list[tuple[int, int]]:
    return list(zip(spikes.step.tolist(), spikes.neuron.tolist(), strict=True))


def test_a_thousand_neurons_spike_by_spike():
    net, *given = given_network(owners=3)
    expected = reference(*given, 1000)
    found = net.run(100.0).spikes
    assert len(expected) > 1000
    assert listed(found) == expected
    # Without the synapses it would be another network.
    assert listed(SpikingNetwork(net.populations, dtype=torch.float64).run(100.0).spikes) != expected


def poisson_network(owners: int | None = None, dtype: torch.dtype = torch.float32, seed: int = 3) -> SpikingNetwork:
    """Two populations of odd sizes, with several delays and receptors."""
    cell = tdn.TwoSynapseLIF(TAU, TAU_E, TAU_I, v_th=V_TH, reset="value", v_reset=1.0, t_ref=T_REF, dt=DT).to(dtype)
    drives = [Poisson(20_000.0, 3.0, "exc"), Poisson(1000.0, -2.0, "inh"), Current(0.01)]
    initial = {"v": wiring.Normal(5.0, 3.0)}
    populations = {
        name: Population(size, cell, inputs=("exc", "inh"), drives=drives, initial=initial)
        for name, size in (("E", 331), ("I", 97))
    }
    delay = wiring.Normal(1.5, 0.7, low_bound=DT)
    projections = [
        Projection("E", "E", wiring.FixedTotal(5000), wiring.Normal(6.0, 0.6), delay, "exc"),
        Projection("E", "I", wiring.FixedProbability(0.1), 6.0, 1.5, "exc"),
        Projection("I", "E", wiring.FixedInDegree(20), wiring.Normal(-6.0, 0.6), delay, "inh"),
        Projection("I", "I", wiring.FixedOutDegree(10), -6.0, wiring.Uniform(0.1, 3.0), "inh"),
    ]
    return SpikingNetwork(populations, projections, seed=seed, dtype=dtype, owners=owners)


def same(one: networks.Run, other: networks.Run) -> bool:
    states = zip(tdn.core.state.leaves(one.state), tdn.core.state.leaves(other.state), strict=True)
    return listed(one.spikes) == listed(other.spikes) and all(torch.equal(a, b) for a, b in states)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_threads_and_owners_change_nothing(dtype):
    wanted = poisson_network(1, dtype).run(60.0)
    assert len(wanted.spikes) > 300
    for owners in (2, 5):
        net = poisson_network(owners, dtype)
        assert all(same(wanted, found) for found in on_threads(lambda net=net: net.run(60.0)))


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
    torch.save(tuple(first.state), tmp_path / "state.pt")
    step, recent, cells = torch.load(tmp_path / "state.pt", weights_only=True)
    again = networks.SpikingNetworkState(step, recent, cells)
    assert same(poisson_network().run(20.0, again), net.run(20.0, first.state))
