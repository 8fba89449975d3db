"""Gradients of a network against autograd through dense matrices, step by step."""

import math

import pytest
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from tests.threads import on_threads
from torchdyn_neuro import networks, wiring
from torchdyn_neuro.core.state import leaves, map_state
from torchdyn_neuro.networks import Current, Poisson, Population, Projection, SpikeSource, SpikingNetwork

DT, STEPS = 0.1, 90
SIZES = {"E": 90, "I": 40}
DOUBLE = {"dtype": torch.float64}


def dense(net: SpikingNetwork, steps: int, cut: int = 0) -> tuple[dict, dict]:
    """Spikes [T, neurons] and states after each step, from one matrix for each delay; no gradient goes past a cut."""
    sizes = {name: each.neurons for name, each in net.populations.items()}
    matrices = []
    for number, projection in enumerate(net.projections):
        source, target, delay = net.synapses(number)
        at = target * sizes[projection.source] + source
        name = networks.projection.titles_of(net.projections)[number]
        weight = net.weights[name] if projection.learned else torch.full((len(at),), projection.weight, **DOUBLE)
        place = net.populations[projection.target].place(projection.receptor)
        for d in delay.unique().tolist():
            matrix = torch.zeros(sizes[projection.target] * sizes[projection.source], **DOUBLE)
            matrix = matrix.index_add(0, at[delay == d], weight[delay == d])
            matrix = matrix.reshape(sizes[projection.target], sizes[projection.source])
            matrices.append((projection.source, projection.target, place, d, matrix))
    spikes = {name: [] for name in sizes}
    states = {name: [] for name in sizes}
    held = dict(zip(sizes, net.initial_state().cells, strict=True))
    for t in range(steps):
        if t and t == cut:
            spikes = {name: [row.detach() for row in rows] for name, rows in spikes.items()}
            held = {name: map_state(torch.detach, cell) for name, cell in held.items()}
        for name, each in net.populations.items():
            if each.cell is None:
                row = torch.zeros(1, each.neurons, **DOUBLE)
                own = each.on_grid(net.dt)
                row[0, own[own[:, 0] == t, 1].long()] = 1
                spikes[name].append(row)
                continue
            arriving = [torch.zeros(1, each.neurons, **DOUBLE) for _ in each.inputs]
            for source, target, place, d, matrix in matrices:
                if target == name and t >= d:
                    arriving[place] = arriving[place] + spikes[source][t - d] @ matrix.T
            for outside in each.drives:
                place = each.place(outside.receptor)
                arriving[place] = arriving[place] + outside.value
            x = tuple(arriving) if len(arriving) > 1 else arriving[0]
            y, held[name] = each.cell.step(x, held[name])
            spikes[name].append(y)
            states[name].append(held[name])
    return {name: torch.cat(frames) for name, frames in spikes.items()}, states


def learning_network(owners: int = 2, **cell_options) -> tuple[SpikingNetwork, dict[str, Tensor]]:
    """Two populations with two receptors each, delays of 1 to 30 steps and refractory cells; all of it is learned."""
    options = {"v_th": 15.0, "reset": "value", "v_reset": 1.0, "t_ref": 0.5, "detach_reset": False, "dt": DT}
    generator = torch.Generator().manual_seed(4)
    populations, first = {}, {}
    for name, size in SIZES.items():
        cell = tdn.TwoSynapseLIF(
            tdn.Learned(10.0 if name == "E" else torch.linspace(8.0, 12.0, size)),
            tdn.Learned(0.5),
            2.0,
            surrogate=tdn.Damped(tdn.Triangular(4.0), 0.1),
            **{**options, **cell_options},
        ).double()
        current = nn.Parameter(torch.tensor(5.0, **DOUBLE) if name == "E" else torch.full((size,), 5.0, **DOUBLE))
        first[name] = (14.9 * torch.rand(size, generator=generator, **DOUBLE)).requires_grad_()
        populations[name] = Population(
            size, cell, inputs=("exc", "inh"), drives=[Current(current, "exc")], initial={"v": first[name]}
        )
    times = 0.1 * torch.randperm(80, generator=generator)[:40].double() + 0.1
    populations["in"] = SpikeSource(5, times, torch.arange(40) % 5)
    delay = wiring.Uniform(0.1, 0.6)
    projections = [
        Projection("E", "E", wiring.FixedTotal(900), wiring.Normal(3.0, 0.6), delay, "exc", learned=True),
        Projection("E", "I", wiring.FixedProbability(0.1), 3.0, 3.0, "exc", learned=True),
        Projection("I", "E", wiring.FixedInDegree(8), wiring.Normal(-3.0, 0.6), delay, "inh", learned=True),
        Projection("I", "I", wiring.FixedOutDegree(5), -3.0, 0.1, "inh"),
        Projection("in", "E", wiring.FixedOutDegree(20), 4.0, 1.1, "exc", learned=True),
        Projection("E", "E", wiring.FixedTotal(50), 1.0, 0.7, "exc", learned=True),
    ]
    return SpikingNetwork(populations, projections, dtype=torch.float64, owners=owners, seed=5), first


def close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-10) -> None:
    """Relative to the largest entry of each, as sums of many terms are."""
    for name, gradient in expected.items():
        assert gradient is not None, name
        largest = gradient.abs().max()
        assert largest > 0, name
        assert (found[name] - gradient).abs().max() <= tolerance * largest, name


def gradients_of(loss: Tensor, net: SpikingNetwork, first: dict[str, Tensor]) -> dict[str, Tensor]:
    operands = dict(net.named_parameters()) | {f"first {name}": value for name, value in first.items()}
    found = torch.autograd.grad(loss, list(operands.values()))
    return dict(zip(operands, found, strict=True))


def loss_of(counts: dict[str, Tensor], filtered: dict[str, Tensor], v: Tensor) -> Tensor:
    """Each entry has a weight of its own."""
    generator = torch.Generator().manual_seed(9)
    loss = (torch.rand(v.shape, generator=generator, **DOUBLE) * v).sum() / 100
    for found in (*counts.values(), *filtered.values()):
        loss = loss + (torch.rand(found.shape, generator=generator, **DOUBLE) * found).sum()
    return loss


def read(spikes: dict[str, Tensor], width: int, tau: float) -> tuple[dict, dict]:
    """Counts and filtered trains in bins, from frames."""
    counts = {name: frames.unflatten(0, (-1, width)).sum(1) for name, frames in spikes.items() if name != "in"}
    filtered = {}
    for name, frames in spikes.items():
        if name == "in":
            continue
        trace, found = torch.zeros(frames.shape[1], **DOUBLE), []
        for t, frame in enumerate(frames):
            trace = math.exp(-DT / tau) * trace + frame
            if (t + 1) % width == 0:
                found.append(trace)
        filtered[name] = torch.stack(found)
    return counts, filtered


OPTIONS = [{}, {"detach_reset": True, "reset": "subtract", "v_reset": None}]
WATCH = {"I": {"v": [3, 39, 3]}}


def expected_of(net: SpikingNetwork, first: dict[str, Tensor], begin: int = 0) -> tuple[tuple, dict[str, Tensor]]:
    """Readouts of the steps behind the first ones, and their gradients, by dense matrices."""
    with tdn.backend("eager"):
        spikes, states = dense(net, begin + STEPS, begin)
    counts, filtered = read({name: frames[begin:] for name, frames in spikes.items()}, 15, 3.0)
    v = torch.stack([state.v[0] for state in states["I"][begin:]])[:, WATCH["I"]["v"]]
    readouts = counts, filtered, v
    return readouts, gradients_of(loss_of(*readouts), net, first)


def found_of(found: networks.Simulated, net: SpikingNetwork, first: dict[str, Tensor]) -> dict[str, Tensor]:
    return gradients_of(loss_of(found.counts, found.filtered, found.traces["I"]["v"]), net, first)


@pytest.mark.parametrize("options", OPTIONS, ids=["value", "subtract"])
def test_gradients_are_those_of_dense_matrices(options):
    """Weights, currents, what cells learn and first potentials; with delays, receptors, given spikes, two owners."""
    net, first = learning_network(**options)
    (counts, filtered, v), expected = expected_of(net, first)
    found = net.simulate(STEPS * DT, bin=1.5, tau=3.0, watch=WATCH)
    assert len(found.spikes) > 100
    for name in counts:
        assert torch.equal(found.counts[name], counts[name])
        torch.testing.assert_close(found.filtered[name], filtered[name], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.traces["I"]["v"], v, rtol=1e-9, atol=1e-9)
    close(found_of(found, net, first), expected)
    # Fewer rows were walked than there are, and more than those of spikes.
    assert 2 * len(found.spikes) < found.work["rows"] < 2 * STEPS * sum(SIZES.values())


def test_a_network_of_the_house_with_delays_for_each_synapse():
    """``Recurrent`` of a ``DelayedLinear``, whose own step is one of the delay."""
    delay = torch.randint(0, 6, (40, 40), generator=torch.Generator().manual_seed(2)) * 0.5
    layer = tdn.DelayedLinear(40, 40, delay, dt=0.5).double()
    options = {"dt": 0.5, "surrogate": tdn.Damped(tdn.Triangular(0.5)), "v_init": torch.linspace(0, 0.9, 40)}
    cell = tdn.LIF(tdn.Learned(20.0), v_th=1.0, **options).double()
    plain = tdn.Recurrent(cell, layer)
    current = torch.full((60, 1, 40), 2.0, **DOUBLE, requires_grad=True)
    with tdn.backend("eager"):
        y = plain(current)
    weighting = torch.rand(40, generator=torch.Generator().manual_seed(3), **DOUBLE)
    expected = torch.autograd.grad((y.sum(0) * weighting).sum(), [layer.weight, cell.tau_mem.raw, current])
    pre, post = (at.flatten() for at in torch.meshgrid(torch.arange(40), torch.arange(40), indexing="ij"))
    rule = wiring.Given(pre, post, weight=layer.weight.detach().T.flatten(), delay=0.5 + delay.T.flatten().double())
    value = nn.Parameter(torch.full((40,), 2.0, **DOUBLE))
    population = Population(40, cell, drives=[Current(value)])
    net = SpikingNetwork({"N": population}, [Projection("N", "N", rule, learned=True)], dtype=torch.float64)
    found = net.simulate(30.0)
    assert y.sum() > 60
    assert torch.equal(found.counts["N"][0], y.sum((0, 1)))
    operands = [net.weights["N->N"], cell.tau_mem.raw, value]
    found = torch.autograd.grad((found.counts["N"] * weighting).sum(), operands)
    named = zip(("weights", "tau", "current"), found, expected, strict=True)
    shaped = {name: (a.reshape(40, 40).T if name == "weights" else a, b) for name, a, b in named}
    shaped["current"] = shaped["current"][0], shaped["current"][1].sum((0, 1))
    close({name: a for name, (a, _) in shaped.items()}, {name: b for name, (_, b) in shaped.items()})


def test_spikes_under_way_teach_the_weights_they_arrive_through():
    net, _ = learning_network()
    state = net.run(3.0).state
    _, expected = expected_of(net, {}, 30)
    found = net.simulate(STEPS * DT, state, bin=1.5, tau=3.0, watch=WATCH)
    # Filtered trains start at zero.
    assert int(found.state.step) == 30 + STEPS
    assert not any(leaf.requires_grad for leaf in leaves(found.state))
    loss = loss_of(found.counts, found.filtered, found.traces["I"]["v"])
    names = list(expected)
    close(dict(zip(names, torch.autograd.grad(loss, [net.get_parameter(n) for n in names]), strict=True)), expected)


def test_threads_change_nothing_and_owners_the_last_bits(monkeypatch):
    # On a busy machine one thread would be taken.
    for module in (networks.engine, networks.backward):
        monkeypatch.setattr(module, "threads_for", lambda operations: torch.get_num_threads())

    def gradients(owners: int) -> dict[str, Tensor]:
        net, first = learning_network(owners)
        return found_of(net.simulate(STEPS * DT, bin=1.5, tau=3.0, watch=WATCH), net, first)

    wanted = gradients(3)
    for found in on_threads(lambda: gradients(3)):
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    close(gradients(1), wanted, 1e-12)


@pytest.mark.parametrize("gradient", ["surrogate", "spike_times"])
def test_steps_that_are_walked_together_change_nothing(monkeypatch, gradient):
    """A delay of seven steps, or one step after the other."""

    def found() -> Tensor:
        cell = tdn.SynapticLIF(20.0, 5.0, dt=0.5, surrogate=tdn.Triangular(0.3)).double()
        population = Population(150, cell, drives=[Current(0.13)], initial={"v": wiring.Uniform(0.0, 0.9)})
        back = Projection("E", "E", wiring.FixedInDegree(10), 0.02, 3.5, learned=True)
        net = SpikingNetwork({"E": population}, [back], dtype=torch.float64, owners=2)
        net.simulate(40.0, bin=2.0, tau=3.0, gradient=gradient).filtered["E"].square().sum().backward()
        return net.weights["E->E"].grad

    wanted = found()
    monkeypatch.setattr(networks.backward, "_MOST_SUMS", 1)
    assert wanted.abs().max() > 0
    assert torch.equal(found(), wanted)


def test_float32_is_near_float64():
    def gradient(dtype: torch.dtype) -> Tensor:
        cell = tdn.SynapticLIF(20.0, 5.0, dt=0.5, surrogate=tdn.Damped(tdn.Triangular(0.3), 0.1)).to(dtype)
        population = Population(300, cell, drives=[Current(0.13)], initial={"v": wiring.Uniform(0.0, 0.9)})
        back = Projection("E", "E", wiring.FixedInDegree(10), 0.015625, 1.5, learned=True)
        net = SpikingNetwork({"E": population}, [back], dtype=dtype)
        net.simulate(40.0).rates("E").square().mean().backward()
        return net.weights["E->E"].grad.double()

    wanted = gradient(torch.float64)
    assert wanted.abs().max() > 1e-3
    torch.testing.assert_close(gradient(torch.float32), wanted, rtol=1e-2, atol=1e-3 * float(wanted.abs().max()))


@pytest.mark.parametrize(
    ("make", "inputs", "current"),
    [
        (lambda **o: tdn.Chain(tdn.ExponentialSynapse(5.0, dt=0.5), tdn.LIF(tdn.Learned(10.0), **o)), 1, 4.0),
        (lambda **o: tdn.Izhikevich(**o), 1, 10.0),
        (lambda **o: tdn.LIF(tdn.Learned(10.0), noise=tdn.WhiteNoise(1.0), **o), 1, 2.0),
        (lambda **o: tdn.AdaptiveLIF(tdn.Learned(20.0), **o), 1, 3.0),
    ],
    ids=["chain", "substeps", "noise", "adaptation"],
)
def test_any_cell_goes_back_its_own_step(make, inputs, current):
    cell = make(dt=0.5, surrogate=tdn.Triangular(1.0), detach_reset=False).double()
    value = nn.Parameter(torch.tensor(current, **DOUBLE))
    net = SpikingNetwork({"N": Population(70, cell, inputs=inputs, drives=[Current(value)])}, dtype=torch.float64)
    state = net.initial_state()
    first = [leaf.requires_grad_() for leaf in leaves(state.cells) if leaf.is_floating_point()]
    with tdn.backend("eager"):
        y, _ = cell.scan(value.expand(60, 1, 70), state.cells[0])
    assert y.sum() > 0
    weighting = torch.linspace(0.1, 1.0, 60, **DOUBLE)[:, None]
    operands = [*first, *net.parameters()]
    options = {"allow_unused": True, "materialize_grads": True}
    expected = torch.autograd.grad((weighting * y[:, 0]).sum(), operands, **options)
    found = net.simulate(30.0, state, bin=0.5)
    assert torch.equal(found.counts["N"], y[:, 0])
    found = torch.autograd.grad((weighting * found.counts["N"]).sum(), operands, **options)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10 * float(1 + b.abs().max()))


def test_the_gradient_of_a_poisson_drive():
    """Of its weight exactly, for the potential is proportional to it; of its rate as a mean over neurons."""
    rate, weight = (nn.Parameter(torch.tensor(value, **DOUBLE)) for value in (30_000.0, 0.5))
    cell = tdn.IF(v_th=1e9, dt=0.1, surrogate=tdn.Triangular()).double()
    drives = [Poisson(rate, weight), Poisson(100.0, 0.1)]
    net = SpikingNetwork({"N": Population(30_000, cell, drives=drives[:1])}, dtype=torch.float64)
    assert {name for name, _ in net.named_parameters()} == {"populations.N.drive0_rate", "populations.N.drive0_weight"}
    v = net.simulate(0.1, watch={"N": {"v": range(30_000)}}).traces["N"]["v"][-1]
    rate_slope, weight_slope = torch.autograd.grad(v.square().mean(), [rate, weight])
    torch.testing.assert_close(weight_slope, 2 * v.square().mean().detach() / 0.5)
    # v = 0.1 * 0.5 k, and the mean of k^2 is m + m^2 with m = 3.
    assert rate_slope.item() == pytest.approx(0.05**2 * (1 + 2 * 3.0) * 1e-4, rel=0.02)
    net = SpikingNetwork({"N": Population(10, cell, drives=drives)}, dtype=torch.float64)
    assert net.simulate(1.0).rates("N").requires_grad


def test_weights_are_read_anew():
    """By a run, by a state dict, and by the way back of a run before they changed."""
    net, first = learning_network()
    found = net.simulate(3.0, bin=1.5, tau=3.0, watch=WATCH)
    wanted = found_of(net.simulate(3.0, bin=1.5, tau=3.0, watch=WATCH), net, first)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    old = net.weights["E->E"]
    net.weights["E->E"] = nn.Parameter(old.detach() * 1.5)
    changed = net.run(9.0)
    net.weights["E->E"] = old
    loss = loss_of(found.counts, found.filtered, found.traces["I"]["v"])
    assert torch.equal(torch.autograd.grad(loss, [old])[0], wanted["weights.E->E"])
    again, _ = learning_network()
    assert not torch.equal(changed.spikes.neuron, net.run(9.0).spikes.neuron)
    again.weights["E->E"].data.zero_()
    again.load_state_dict(before)
    assert torch.equal(again.run(9.0).spikes.neuron, net.run(9.0).spikes.neuron)


def small(count: int = 5, surrogate: tdn.core.Surrogate | None = None, **options) -> SpikingNetwork:
    cell = tdn.LIF(tdn.Learned(20.0), dt=0.5, surrogate=surrogate or tdn.Triangular())
    back = Projection("A", "A", wiring.FixedOutDegree(2), 0.1, 0.5, learned=True)
    return SpikingNetwork({"A": Population(count, cell, **options)}, [back])


def changing(learned: bool) -> SpikingNetwork:
    release = tdn.TsodyksMarkram(dt=0.5)
    back = Projection("A", "A", wiring.FixedOutDegree(2), 0.1, 0.5, release=release, learned=learned)
    return SpikingNetwork({"A": Population(5, tdn.LIF(tdn.Learned(20.0), dt=0.5))}, [back])


def test_without_gradients_nothing_is_kept():
    with torch.no_grad():
        found = small(10_001, tdn.ATan()).simulate(5.0)
    assert not found.counts["A"].requires_grad


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: small().freeze().simulate(1.0), "expected weights with a gradient, got frozen ones"),
        (lambda: small(10_001, tdn.ATan()).simulate(1.0), "zero away from the threshold for more than 10000 neurons"),
        (lambda: small().simulate(1.0, bin=0.7), "expected bins of whole steps of 0.5 ms that divide the 2 steps"),
        (lambda: small().simulate(1.5, bin=1.0), "that divide the 3 steps of the duration, got 1 ms"),
        (lambda: small().double().run(1.0), "expected weights of torch.float32, got torch.float64 from A->A"),
        (lambda: changing(False).simulate(1.0), "stay for gradients, got release= or plasticity= in the projection"),
        (lambda: changing(True), "Projection: expected learned=, release= or plasticity=, got two of them"),
        (lambda: small(drives=[Current(torch.ones(3))]).run(1.0), "one for each of 5 neurons, got shape"),
        (lambda: Poisson(torch.ones(2), 1.0), "expected rate to be one real number, got torch.float32 of shape"),
    ],
)
def test_errors(call, message):
    with pytest.raises((ValueError, KeyError), match=message):
        call()


def test_a_compiled_simulation_is_a_simulation():
    """The compiler leaves it alone."""
    found = []
    for compiled in (lambda call: call, lambda call: torch.compile(call, backend="eager")):
        net = small(drives=[Current(2.0)])
        compiled(net.simulate)(20.0).rates("A").sum().backward()
        found.append(net.weights["A->A"].grad)
    assert found[0].abs().sum() > 0
    assert torch.equal(*found)


def test_there_are_no_second_derivatives():
    rates = small(drives=[Current(2.0)]).simulate(20.0).rates("A")
    with pytest.raises(RuntimeError, match="expected no derivatives of its gradients, got create_graph=True"):
        rates.sum().backward(create_graph=True)
