"""Networks against a simulation written here with NumPy, step by step and synapse by synapse."""

import math
import pickle

import numpy as np
import pytest
import torch

import torchdyn_neuro as tdn
from tests.networks.small_networks import (
    DT,
    T_REF,
    TAU,
    TAU_E,
    TAU_I,
    V_TH,
    conductance_based,
    listed,
    poisson_network,
    same,
)
from tests.threads import on_threads
from torchdyn_neuro import networks, wiring
from torchdyn_neuro.networks import Current, Population, Projection, SpikingNetwork
from torchdyn_neuro.wiring import Given

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


def test_a_thousand_neurons_spike_by_spike():
    net, *given = given_network(owners=3)
    expected = reference(*given, 1000)
    found = net.run(100.0).spikes
    assert len(expected) > 1000
    assert listed(found) == expected
    # Without the synapses it would be another network.
    assert listed(SpikingNetwork(net.populations, dtype=torch.float64).run(100.0).spikes) != expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_threads_and_owners_change_nothing(dtype, monkeypatch):
    # On a busy machine one thread would be taken.
    monkeypatch.setattr(networks.engine, "threads_for", lambda operations: torch.get_num_threads())
    wanted = poisson_network(1, dtype).run(60.0)
    assert len(wanted.spikes) > 300
    for owners in (2, 5):
        net = poisson_network(owners, dtype)
        assert all(same(wanted, found) for found in on_threads(lambda net=net: net.run(60.0)))


def test_given_spikes_arrive_after_their_delays():
    """Of a cell that only sums up, the potential says when and how much; by hand."""
    times, neuron = torch.tensor([0.3, 0.1, 0.3, 1.2]), torch.tensor([1, 0, 0, 1])
    rule = Given(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), weight=torch.tensor([1.0, 10.0, 100.0]))
    target = Population(2, tdn.IF(v_th=1e9, C=0.1, dt=0.1))
    populations = {"S": networks.SpikeSource(130, times, neuron), "T": target}
    net = SpikingNetwork(populations, [Projection("S", "T", rule, delay=0.5)], owners=2)
    state, found = None, []
    for _ in range(20):
        run = net.run(0.1, state)
        state = run.state
        found.append(state.cells[1].v.flatten().tolist())
    # A spike at the end of step n arrives in the step that begins 0.5 ms later than step n does.
    expected, total = [], np.zeros(2)
    arrivals = {5: (1, 0), 7: (11, 100), 16: (10, 100)}
    for step in range(20):
        total = total + arrivals.get(step, (0, 0))
        expected.append(total.tolist())
    np.testing.assert_allclose(found, expected)
    spikes = net.run(2.0).spikes
    assert listed(spikes) == [(0, 0), (2, 0), (2, 1), (11, 1)]
    torch.testing.assert_close(spikes["S"][0], times.sort().values.double())


def test_the_same_as_the_house_own_network():
    """A recurrent ``Network`` with a ``SparseLinear``, run step by step, under a constant current."""
    layer = tdn.SparseLinear(150, 150, wiring.FixedOutDegree(15), wiring.Normal(2.0, 1.0), dtype=torch.float64)
    cell = tdn.LIF(20.0, v_th=1.0, v_init=torch.linspace(0, 0.9, 150), dt=0.5).double()
    plain = tdn.Network(cell, layer, delay=1.5)
    with torch.no_grad(), tdn.backend("eager"):
        y = plain(torch.full((200, 1, 150), 1.2, dtype=torch.float64))
    given = Given(layer.sources(), layer.place.to(torch.int64), weight=layer.weight.detach())
    population = Population(150, cell, drives=[Current(1.2)])
    net = SpikingNetwork({"N": population}, [Projection("N", "N", given, delay=1.5)], dtype=torch.float64)
    assert y.sum() > 300
    assert torch.equal(net.run(100.0).spikes.frames("N", torch.float64), y)


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (lambda: tdn.Chain(tdn.ExponentialSynapse(5.0, dt=0.5), tdn.AdEx(dt=0.5)), 1),
        (lambda: tdn.Izhikevich(dt=0.5), 1),
        (lambda: tdn.LIF(10.0, dt=0.5, noise=tdn.WhiteNoise(1.0)), 1),
        (lambda: tdn.ConductanceLIF(dt=0.5), 2),
        (lambda: tdn.AdaptiveLIF(dt=0.5), 1),
    ],
    ids=["chain", "substeps", "noise", "conductances", "adaptation"],
)
def test_any_cell_is_its_own_step(make, inputs):
    """Without synapses a population is the cell's own scan; the same key of a noise, the same numbers."""
    cell = make().double()
    drives = [Current(value, k) for k, value in enumerate((200.0, 3.0)[:inputs])]
    if isinstance(cell, tdn.Izhikevich | tdn.LIF):
        drives = [Current(10.0)]
    net = SpikingNetwork({"N": Population(70, cell, inputs=inputs, drives=drives)}, dtype=torch.float64)
    first = net.initial_state()
    parts = tuple(torch.full((200, 1, 70), drive.value, dtype=torch.float64) for drive in drives)
    with torch.no_grad(), tdn.backend("eager"):
        y, last = cell.scan(parts if inputs > 1 else parts[0], first.cells[0])
    found = net.run(100.0, first)
    assert y.sum() > 0
    assert torch.equal(found.spikes.frames("N", torch.float64), y)
    for a, b in zip(tdn.core.state.leaves(found.state.cells), tdn.core.state.leaves(last), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_first_values_of_the_parts_of_a_chain():
    """A conductance that is there at first pulls the potential: an explicit solution of the two equations."""
    g, v = np.array([0.0, 2.0, 40.0, 10.0, 5.0]), np.array([-60.0, -55.0, -70.0, -52.0, -65.0])
    population = conductance_based(initial={"0.g.1": torch.tensor(g), "1.v": torch.tensor(v)})
    found = SpikingNetwork({"A": population}).run(2.0).state.cells[0]
    for _ in range(2000):
        g, v = g * (1 - 0.001 / 5.0), v + 0.001 / 200.0 * (10.0 * (-60.0 - v) + g * (-70.0 - v))
    assert found[1].v[0].tolist() == pytest.approx(v.tolist(), abs=0.05)
    assert found[0].g[1][0].tolist() == pytest.approx(g.tolist(), rel=1e-2)


def test_times_of_given_spikes_keep_all_their_bits():
    source = networks.SpikeSource(2, torch.tensor([1234.1], dtype=torch.float64), torch.tensor([1]))
    assert source.half().on_grid(0.1).tolist() == [[12340, 1]]


def test_a_network_is_pickled():
    net = poisson_network()
    assert listed(pickle.loads(pickle.dumps(net)).run(20.0).spikes) == listed(net.run(20.0).spikes)
