"""Networks against a simulation written here with NumPy, step by step and synapse by synapse."""

import math
import pickle

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


def poisson_network(
    owners: int | None = None, dtype: torch.dtype = torch.float32, seed: int = 3, group=None
) -> SpikingNetwork:
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
    return SpikingNetwork(populations, projections, seed=seed, dtype=dtype, owners=owners, group=group)


def same(one: networks.Run, other: networks.Run) -> bool:
    states = zip(tdn.core.state.leaves(one.state), tdn.core.state.leaves(other.state), strict=True)
    return listed(one.spikes) == listed(other.spikes) and all(torch.equal(a, b) for a, b in states)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_threads_and_owners_change_nothing(dtype, monkeypatch):
    # On a busy machine one thread would be taken.
    monkeypatch.setattr(networks.engine, "threads_for", lambda operations: torch.get_num_threads())
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


def test_poisson_drive_has_its_law():
    """Counts of single steps, from what arrives at cells that only sum it up."""
    for rate, mean in ((8000.0, 0.8), (65_000.0, 6.5)):
        cell = tdn.IF(v_th=1e9, dt=0.1).double()
        net = SpikingNetwork({"N": Population(20_000, cell, drives=[Poisson(rate, 2.0)])}, dtype=torch.float64)
        state, before, counts = None, torch.zeros(20_000, dtype=torch.float64), []
        for _ in range(3):
            state = net.run(0.1, state).state
            now = state.cells[0].v.flatten()
            counts.append(torch.round((now - before) / (2.0 * 0.1)))
            before = now
        counts = torch.cat(counts)
        assert counts.mean().item() == pytest.approx(mean, abs=4 * math.sqrt(mean / 60_000))
        assert counts.var().item() == pytest.approx(mean, rel=0.04)
        share = torch.bincount(counts.long(), minlength=30)[:30] / 60_000
        law = torch.tensor([math.exp(-mean) * mean**k / math.factorial(k) for k in range(30)])
        assert (share - law).abs().max() < 0.008
        early, late = counts[:20_000], counts[-20_000:]
        assert torch.corrcoef(torch.stack([early, late]))[0, 1].abs() < 0.03
        assert torch.corrcoef(torch.stack([early[1:], early[:-1]]))[0, 1].abs() < 0.03


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


def lif(count: int = 5, dt: float = 0.1, **options) -> Population:
    return Population(count, tdn.LIF(dt=dt), **options)


def conductance_based(count: int = 5, **options) -> Population:
    parts = tdn.ConductanceSynapse(output="mean", dt=0.1), tdn.ConductanceLIF(t_ref=5.0, dt=0.1)
    return Population(count, tdn.Chain(*parts), inputs=("exc", "inh"), **options)


def test_first_values_of_the_parts_of_a_chain():
    """A conductance that is there at first pulls the potential: an explicit solution of the two equations."""
    g, v = np.array([0.0, 2.0, 40.0, 10.0, 5.0]), np.array([-60.0, -55.0, -70.0, -52.0, -65.0])
    population = conductance_based(initial={"0.g.1": torch.tensor(g), "1.v": torch.tensor(v)})
    found = SpikingNetwork({"A": population}).run(2.0).state.cells[0]
    for _ in range(2000):
        g, v = g * (1 - 0.001 / 5.0), v + 0.001 / 200.0 * (10.0 * (-60.0 - v) + g * (-70.0 - v))
    assert found[1].v[0].tolist() == pytest.approx(v.tolist(), abs=0.05)
    assert found[0].g[1][0].tolist() == pytest.approx(g.tolist(), rel=1e-2)


def net_of(*projections: Projection, **options) -> SpikingNetwork:
    return SpikingNetwork({"A": lif(), "B": lif(6)}, projections, **options)


RULE = wiring.FixedOutDegree(2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: net_of(Projection("A", "B", RULE, 1.0, 0.05)),
            "expected a delay of whole steps of 0.1 ms in the proj",
        ),
        (lambda: net_of(Projection("A", "B", RULE, 1.0, 0.0)), "Projection: expected delay above 0 ms, got 0.0; pass"),
        (
            lambda: net_of(Projection("A", "B", RULE, 1.0, wiring.Normal(1.5, 0.75))),
            "expected delays of at least one step of 0.1 ms .* give the distribution a lower bound",
        ),
        (lambda: net_of(Projection("A", "B", RULE, 1.0, 1e4)), "expected delays of at most 32767 steps"),
        (lambda: net_of(Projection("A", "C", RULE, 1.0, 1.0)), "to name populations among A, B, got 'C'"),
        (lambda: net_of(Projection("A", "B", RULE, 1.0, 1.0, 1)), "expected a receptor among 0, got 1"),
        (lambda: net_of(Projection("A", "B", RULE, delay=1.0)), "expected weight= or the weights of a Given wiring"),
        (lambda: net_of(Projection("A", "B", 0.1, 1.0, 1.0)), "expected a rule of connectivity as wiring, got float"),
        (
            lambda: net_of(Projection("A", "B", wiring.OneToOne(), 1.0, 1.0)),
            "OneToOne: expected two populations of one",
        ),
        (lambda: SpikingNetwork({"A": lif(), "B": lif(dt=0.5)}), "expected cells that share one dt"),
        (lambda: SpikingNetwork({"A": lif(2**30), "B": lif(2**30)}), r"expected fewer than 2\^31 neurons"),
        (
            lambda: SpikingNetwork({"A": networks.SpikeSource(1, torch.ones(1), torch.tensor([0]))}),
            "expected cells that share one dt, got given spikes alone",
        ),
        (lambda: networks.SpikeSource(1, torch.ones(1), torch.tensor([1])), "expected neurons from 0 to 0, got others"),
        (lambda: networks.SpikeSource(1, torch.ones(1), torch.ones(1)), "expected tensors of times and of whole numb"),
        (lambda: networks.SpikeSource(1, torch.ones(1), torch.tensor([0])).on_grid(0.3), "whole steps of 0.3 ms"),
        (lambda: networks.SpikeSource(1, torch.ones(2), torch.tensor([0, 0])).on_grid(0.5), "one spike of a neuron"),
        (lambda: SpikingNetwork({"A": tdn.LIF()}), "expected populations by name"),
        (lambda: net_of(dtype=torch.float16), "expected float32 or float64, got torch.float16"),
        (lambda: Population(5, tdn.LeakyIntegrator()), "expected a spiking cell, or a Chain that ends in one"),
        (lambda: lif(drives=[0.1]), "expected drives to be Poisson or Current, got 0.1"),
        (lambda: lif(drives=[Poisson(1.0, 1.0, "exc")]), "expected a receptor among 0, got 'exc'"),
        (lambda: Poisson(-1.0, 1.0), "Poisson: expected rate at least 0 Hz, got -1.0"),
        (lambda: net_of().run(0.1, watch={"C": {}}), "expected to watch populations among A, B, got 'C'"),
        (lambda: net_of().run(0.1, watch={"A": {"u": [0]}}), "expected to watch fields of A among v, got 'u'"),
        (lambda: net_of().run(0.1, watch={"A": {"v": [5]}}), "expected to watch neurons of A from 0 to 4, got others"),
        (
            lambda: net_of().run(0.1, watch={"A": {"v": torch.tensor([True, False])}}),
            "neurons of A from 0 to 4, got others",
        ),
        (lambda: net_of().run(0.1, watch={"A": ["v"]}), "expected what to watch by population and field, got"),
        (lambda: net_of(owners=2**14 + 1), "expected at most 16384 owners, got 16385"),
        (lambda: SpikingNetwork({"A.b": lif()}), "expected names of populations without a dot, got 'A.b'"),
        (lambda: SpikingNetwork({"keys": lif()}), "expected names of populations without a dot, got 'keys'"),
        (lambda: SpikingNetwork([lif()]), "expected populations by name"),
        (
            lambda: SpikingNetwork({"A": lif(drives=[Poisson(1e12, 1.0)])}).run(0.1),
            "at most 100000 spikes of a neuron",
        ),
        (
            lambda: SpikingNetwork({"A": lif(drives=[Poisson(1.0, 1e38)])}).run(0.1),
            "expected weight that",
        ),
        (
            lambda: SpikingNetwork({"A": lif(drives=[Current(1e39)])}).run(0.1),
            "expected value that",
        ),
        (lambda: net_of(Projection("A", "B", RULE, 1e39, 0.5)), "from A to B that torch.float32 holds, got 1e[+]39"),
        (
            lambda: one_input(torch.tensor([1.0, 1e39], dtype=torch.float64)),
            "Given: expected weights that torch.float32 holds, got 1e[+]39; lower it, or take torch.float64",
        ),
        (
            lambda: net_of().run(1.0, net_of().run(0.1).state._replace(step=torch.tensor(2**31 - 5))),
            r"expected fewer than 2\^31 steps in all, got 2147483653",
        ),
        (lambda: networks.SpikeSource(1, torch.ones(1), torch.tensor([False])), "real times and whole numbers"),
        (
            lambda: Given(torch.tensor([0]), torch.tensor([0]), weight=torch.tensor([1j])),
            "weight to be a tensor",
        ),
        (lambda: Given(torch.tensor([0]), torch.tensor([0]), delay=[1.0]), "delay to be a tensor of numbers, got list"),
        (
            lambda: wiring.DistanceDependent(1.0, 0.2, torch.full((5, 2), math.nan), torch.zeros(5, 2)),
            "expected finite positions, got others",
        ),
        (
            lambda: net_of().run(1.0).spikes.synchrony("A", 0.01),
            "expected bins from a step of 0.1 ms to",
        ),
        (
            lambda: net_of().run(1.0).spikes.synchrony("A", 3.0),
            "expected bins from a step of 0.1 ms to",
        ),
        (lambda: net_of().run(0.05), "expected a duration of whole steps of 0.1 ms, got 0.05 ms"),
        (
            lambda: SpikingNetwork({"A": lif(initial={"u": 1.0})}).run(1.0),
            "expected initial to name fields of the state",
        ),
        (
            lambda: SpikingNetwork({"A": conductance_based(initial={"v": 1.0})}).run(1.0),
            "fields of the state of Chain, 0.g.0, 0.g.1, 1.v, 1.refractory, got 'v'",
        ),
        (
            lambda: SpikingNetwork({"A": lif(initial={"v": torch.ones(3)})}).run(1.0),
            "expected v at the start of 5 neurons",
        ),
        (lambda: SpikingNetwork({"A": lif(inputs=2)}).run(1.0), "LIF"),
        (lambda: net_of(dtype=torch.float64).run(1.0), "in torch.float64 to match an input"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_frozen_weights_of_16_bits():
    """Weights that 16 bits hold give the same spikes; others are rounded to the nearest."""
    generator = np.random.default_rng(1)
    pre, post, delay = generator.integers(300, size=6000), generator.integers(300, size=6000), np.full(6000, 0.5)
    weight = generator.integers(-10_000, 16_000, 6000) * 2.0**-11
    weight[0] = 32767 * 2.0**-11
    nets = []
    for noise in (0.0, 2.0**-13):
        rule = Given(*map(torch.tensor, (pre, post)), weight=torch.tensor(weight + noise), delay=torch.tensor(delay))
        cell = tdn.SynapticLIF(10.0, 2.0, v_th=V_TH, v_init=torch.linspace(0, 14, 300), dt=DT).double()
        population = Population(300, cell, drives=[Poisson(10_000.0, 1.5)])
        nets.append(SpikingNetwork({"N": population}, [Projection("N", "N", rule)], dtype=torch.float64, owners=2))
    exact, shifted = nets
    wanted = exact.run(50.0)
    before = exact.packed.nbytes
    assert len(wanted.spikes) > 300
    assert same(exact.freeze().run(50.0), wanted)
    assert exact.packed.nbytes < 0.5 * before
    assert shifted.freeze().packed.weights.max() == 32767
    apart = shifted.packed.weights.double() * shifted.packed.scale - exact.packed.weights.double() * exact.packed.scale
    assert apart.abs().max() < 2.0**-11


def one_input(weight: torch.Tensor) -> SpikingNetwork:
    """All of a population fire in the first step and reach one sum."""
    source = Population(len(weight), tdn.LIF(10.0, v_th=1.0, reset="zero", dt=0.1), drives=[Current(1e3)])
    rule = Given(torch.arange(len(weight)), torch.zeros(len(weight), dtype=torch.int64), weight=weight)
    target = Population(1, tdn.IF(v_th=1e9, dt=0.1))
    return SpikingNetwork({"A": source, "B": target}, [Projection("A", "B", rule, delay=0.1)], owners=2)


def test_frozen_sums_keep_within_32_bits():
    most = one_input(torch.ones(65_538)).freeze()
    assert most.run(0.2).state.cells[1].v.item() == pytest.approx(6553.8, rel=1e-5)
    for sign in (1.0, -1.0):
        with pytest.raises(
            ValueError, match=r"at most 65538 times the largest one, .* got 65539 times; run it without"
        ):
            one_input(sign * torch.ones(65_539)).freeze()
    with pytest.raises(ValueError, match="expected finite weights to freeze, got others"):
        one_input(torch.tensor([1.0, math.nan])).freeze()


def test_what_is_no_number_ends_a_run():
    """As a spike it would be NaN, which a list cannot hold."""
    pieces = []
    with pytest.raises(ValueError, match="numbers in the state of B, got NaN in 1 of its neurons between steps 0 and"):
        one_input(torch.tensor([1.0, math.nan])).run(0.3, record=pieces.append)
    assert pieces == []


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


def test_noise_follows_the_seed():
    def potential(seed: int, other: int) -> torch.Tensor:
        torch.manual_seed(other)
        cell = tdn.LIF(dt=0.1, noise=tdn.WhiteNoise(1.0))
        found = SpikingNetwork({"A": Population(3, cell)}, seed=seed).run(0.5).state.cells[0].v
        assert torch.initial_seed() == other
        return found

    assert torch.equal(potential(1, 2), potential(1, 3))
    assert not torch.equal(potential(1, 2), potential(2, 2))


def test_times_of_given_spikes_keep_all_their_bits():
    source = networks.SpikeSource(2, torch.tensor([1234.1], dtype=torch.float64), torch.tensor([1]))
    assert source.half().on_grid(0.1).tolist() == [[12340, 1]]


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


def test_a_network_is_pickled():
    net = poisson_network()
    assert listed(pickle.loads(pickle.dumps(net)).run(20.0).spikes) == listed(net.run(20.0).spikes)


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


def test_too_many_synapses_are_refused_before_any_is_drawn():
    huge = {"A": Population(10_000_000, tdn.LIF(dt=0.1))}
    with pytest.raises(MemoryError, match=r"expected room for 1e\+14 synapses in 6e\+05 GB, got .* that are free"):
        SpikingNetwork(huge, [Projection("A", "A", wiring.FixedProbability(1.0), 1.0, 1.0)])


def test_a_projection_without_synapses():
    none = Projection("A", "A", wiring.FixedProbability(0.0), 1.0, 0.5)
    net = SpikingNetwork({"A": Population(3, tdn.LIF(dt=0.5))}, [none])
    assert net.packed.synapses == len(net.run(1.0).spikes) == 0


def test_rows_of_too_many_synapses_for_one_chunk():
    """More than 65,528 synapses from one neuron to one owner with one delay are several chunks."""
    cell = tdn.LIF(10.0, v_th=1.0, reset="zero", dt=0.1)
    source = Population(1, cell, drives=[Current(1e3)])
    target = Population(3, tdn.IF(v_th=1e9, dt=0.1))
    rule = wiring.FixedOutDegree(150_000)
    net = SpikingNetwork({"A": source, "B": target}, [Projection("A", "B", rule, 1.0, 0.2)], owners=1)
    v = net.run(0.3).state.cells[1].v
    assert v.sum().item() == pytest.approx(150_000 * 0.1)
