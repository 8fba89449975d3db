"""Short-term plasticity and learning rules on the rows of a network."""

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.threads import on_threads
from torchdyn_neuro import networks, wiring
from torchdyn_neuro.networks import Current, Poisson, Population, Projection, SpikingNetwork
from torchdyn_neuro.wiring import Given

NEURONS, STEPS, DT = 90, 300, 0.5
BOUNDS = {"w_min": 0.0, "w_max": 3.0}


def cells() -> tdn.LIF:
    start = torch.linspace(0, 0.9, NEURONS, dtype=torch.float64)
    return tdn.LIF(20.0, v_th=1.0, v_init=start, dt=DT).double()


def drawn_once() -> tdn.SparseLinear:
    rule = wiring.FixedOutDegree(12, multapses=False)
    return tdn.SparseLinear(NEURONS, NEURONS, rule, wiring.Normal(1.0, 0.5), seed=3, dtype=torch.float64)


def given(layer: tdn.SparseLinear) -> Given:
    return Given(layer.sources(), layer.place.to(torch.int64), weight=layer.weight.detach())


def dense_run(connection: torch.nn.Module) -> tuple[torch.Tensor, tuple]:
    net = tdn.Network(cells(), connection, delay=1.5)
    with torch.no_grad(), tdn.backend("eager"):
        return net.scan(torch.full((STEPS, 1, NEURONS), 1.15, dtype=torch.float64))


def rows_run(owners: int = 1, **change) -> networks.Run:
    population = Population(NEURONS, cells(), drives=[Current(1.15)])
    projection = Projection("N", "N", given(drawn_once()), delay=1.5, **change)
    net = SpikingNetwork({"N": population}, [projection], dtype=torch.float64, owners=owners)
    return net.run(STEPS * DT)


RULES = {
    "additive": lambda: tdn.PairSTDP(0.1, 0.12, 20.0, 15.0),
    "bounded": lambda: tdn.PairSTDP(0.4, 0.5, 20.0, 15.0, **BOUNDS),
    "nearest": lambda: tdn.PairSTDP(0.1, 0.12, 20.0, 15.0, pairing="nearest", **BOUNDS),
    "multiplicative": lambda: tdn.PairSTDP(0.1, 0.12, mu_plus=1.0, mu_minus=1.0, **BOUNDS),
    "van Rossum": lambda: tdn.PairSTDP(0.1, 0.12, mu_minus=1.0, w_min=0.0),
    "power": lambda: tdn.PairSTDP(0.1, 0.12, mu_plus=0.4, mu_minus=0.6, **BOUNDS),
    "inhibitory": lambda: tdn.InhibitorySTDP(0.05, 30.0, 15.0, w_min=0.0),
}


@pytest.mark.parametrize("name", RULES)
def test_weights_that_learn_are_those_of_the_dense_module(name):
    rule, layer = RULES[name]().double(), drawn_once()
    matrix = layer.to_dense().detach()
    dense = tdn.sparse(torch.nn.Linear(NEURONS, NEURONS, bias=False, dtype=torch.float64), matrix != 0)
    with torch.no_grad():
        dense.parametrizations.weight.original.copy_(matrix)
    y, state = dense_run(tdn.Plastic(dense, rule, dt=DT))
    found = rows_run(owners=2, plasticity=rule)
    assert torch.equal(found.spikes.frames("N", torch.float64), y)
    wanted = state.connection.weight[0, layer.place.to(torch.int64), layer.sources()]
    moved = (wanted - layer.weight.detach()).abs()
    assert moved.max() > 0.1
    assert (moved > 0).float().mean() > 0.9
    # Otherwise it would not matter to the spikes.
    assert len(rows_run().spikes) != y.sum()
    assert_close(found.state.synapses[0].weight, wanted, rtol=1e-12, atol=1e-12)


RELEASES = {
    "tm": {},
    "m98": {"form": "m98", "U": 0.5, "tau_f": 50.0},
    "text": {"form": "text", "tau_d": 100.0},
    "depression": {"tau_f": None, "form": "m98", "U": 0.5},
    "facilitation": {"tau_d": None},
}


@pytest.mark.parametrize("name", RELEASES)
def test_what_is_released_is_that_of_the_dense_module(name):
    release = tdn.TsodyksMarkram(**RELEASES[name], dt=DT).double()
    y, state = dense_run(tdn.Chain(release, drawn_once()))
    found = rows_run(owners=2, release=release)
    assert torch.equal(found.spikes.frames("N", torch.float64), y)
    assert len(rows_run().spikes) != y.sum()
    # The states of the kernels are those of the last spike that arrived everywhere; the dense ones lie at the end.
    replayed = found.state.synapses[0]
    assert (replayed.last > 0).float().mean() > 0.5
    fields = [(replayed.u, state.connection[0].u), (replayed.R, state.connection[0].R)]
    assert any(isinstance(dense, torch.Tensor) and own.std() > 0 for own, dense in fields)


def mixed(owners: int | None = None, dtype: torch.dtype = torch.float32) -> SpikingNetwork:
    """Several populations; some synapses change, others do not; delays of many lengths."""
    cell = tdn.TwoSynapseLIF(10.0, 0.5, 2.0, v_th=15.0, reset="value", v_reset=1.0, t_ref=2.0, dt=0.1).to(dtype)
    drives = [Poisson(20_000.0, 3.0, "exc")]
    populations = {
        name: Population(size, cell, inputs=("exc", "inh"), drives=drives, initial={"v": wiring.Normal(5.0, 3.0)})
        for name, size in (("E", 231), ("I", 97))
    }
    delay, stdp = wiring.Uniform(0.1, 3.0), tdn.PairSTDP(2.0, 1.0, 20.0, 15.0)
    projections = [
        Projection("E", "I", wiring.FixedProbability(0.1), 6.0, 1.5, "exc"),
        Projection("E", "E", wiring.FixedTotal(4000), wiring.Normal(6.0, 0.6), delay, "exc", plasticity=stdp),
        Projection("I", "E", wiring.FixedInDegree(20), -6.0, delay, "inh"),
        Projection("E", "I", wiring.FixedOutDegree(9), 9.0, delay, "exc", release=tdn.TsodyksMarkram(dt=0.1)),
        Projection("I", "I", wiring.FixedOutDegree(10), -6.0, 0.7, "inh"),
    ]
    return SpikingNetwork(populations, projections, seed=3, dtype=dtype, owners=owners)


def same(one: networks.Run, other: networks.Run) -> bool:
    leaves = tdn.core.state.leaves
    states = zip(leaves(one.state), leaves(other.state), strict=True)
    spikes = torch.equal(one.spikes.step, other.spikes.step) and torch.equal(one.spikes.neuron, other.spikes.neuron)
    return spikes and all(torch.equal(a, b) for a, b in states)


def test_threads_owners_and_pieces_change_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(networks.engine, "threads_for", lambda operations: torch.get_num_threads())
    wanted = mixed(1).run(60.0)
    assert len(wanted.spikes) > 300
    assert all(same(wanted, found) for found in on_threads(lambda: mixed(2).run(60.0)))
    first = mixed(2).run(24.7).state
    torch.save(first, tmp_path / "state.pt")
    net = mixed(3)
    last = net.run(20.3, net.run(15.0, torch.load(tmp_path / "state.pt", weights_only=True)).state)
    for a, b in zip(tdn.core.state.leaves(last.state), tdn.core.state.leaves(wanted.state), strict=True):
        assert torch.equal(a, b)
    assert same(net.run(20.0, first), mixed(1).run(20.0, first))


def test_each_pair_of_spikes_counts_after_the_delay_of_its_synapse():
    """The sum over all pairs of spikes, written out, with delays of many lengths."""
    net = mixed(2, torch.float64)
    found = net.run(40.0)
    pre, post, delay = net.synapses(1)
    assert delay.min() == 1
    assert delay.max() == 30
    trains = [found.spikes.step[found.spikes.neuron == k].double() for k in range(231)]
    start = net.initial_state().synapses[0].weight
    for k in range(0, 4000, 37):
        arrivals, spikes = trains[pre[k]] + delay[k], trains[post[k]]
        arrivals = arrivals[arrivals < 400]
        gap = 0.1 * (spikes[:, None] - arrivals[None, :])
        up, down = 2.0 * torch.exp(-gap / 20.0), 1.0 * torch.exp(gap / 15.0)
        change = up[gap > 0].sum() - down[gap < 0].sum()
        assert found.state.synapses[0].weight[k].item() == pytest.approx((start[k] + change).item(), abs=1e-10)
    assert (found.state.synapses[0].weight != start).float().mean() > 0.3


def test_a_run_leaves_the_network_and_the_state_as_they_are():
    net = mixed()
    first = net.initial_state()
    kept = first.synapses[0].weight.clone()
    assert same(net.run(30.0, first), net.run(30.0, first))
    assert torch.equal(first.synapses[0].weight, kept)
    assert torch.equal(net.initial_state().synapses[0].weight, kept)


def one(source: str = "N", **change) -> SpikingNetwork:
    population = Population(5, tdn.LIF(dt=DT))
    return SpikingNetwork({"N": population}, [Projection("N", source, wiring.FixedOutDegree(2), 1.0, 1.5, **change)])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: one(plasticity=tdn.Oja()),
            TypeError,
            "plasticity to be PairSTDP or InhibitorySTDP, got Oja; pass one",
        ),
        (lambda: one(release=0.5), TypeError, "release to be TsodyksMarkram, got float"),
        (
            lambda: one(release=tdn.TsodyksMarkram(), plasticity=tdn.PairSTDP()),
            ValueError,
            "expected release= or plasticity=, got both",
        ),
        (
            lambda: one(plasticity=tdn.PairSTDP(torch.ones(5))),
            ValueError,
            r"expected one A_plus of PairSTDP for all synapses, got shape \(5,\)",
        ),
        (lambda: one(plasticity=tdn.PairSTDP(axonal_delay=1.0)), ValueError, "without delays of its own, got 1 and 0"),
        (
            lambda: one(release=tdn.TsodyksMarkram(dt=1.0)),
            ValueError,
            "expected steps of 0.5 ms in the release of the projection from N to N, got 1 ms",
        ),
        (lambda: one(plasticity=tdn.PairSTDP()).freeze(), ValueError, "expected weights that stay to freeze them"),
        (
            lambda: one(plasticity=tdn.PairSTDP()).run(1.0, one().initial_state()),
            ValueError,
            "expected a state of 1 projections whose synapses change, got that of others",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
