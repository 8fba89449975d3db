"""Gradients of spike times against closed forms, EventProp off any grid, and finite differences."""

import random

import pytest
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from tests.networks.event_prop import EventNetwork
from tests.threads import on_threads
from torchdyn_neuro import networks, wiring
from torchdyn_neuro.networks import Current, Poisson, Population, Projection, SpikeSource, SpikingNetwork

DOUBLE = {"dtype": torch.float64}
EXACT = {"gradient": "spike_times", "times": True}


def driven(cell: tdn.core.Dynamics, *drives: Current | Poisson, **options) -> SpikingNetwork:
    return SpikingNetwork({"N": Population(1, cell.double(), drives=drives, **options)}, dtype=torch.float64)


def constant(value: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(value, **DOUBLE))


@pytest.mark.parametrize("options", [{"reset": "value", "v_reset": 0.2, "t_ref": 2.0}, {"reset": "subtract"}])
def test_intervals_under_a_constant_current(options):
    """t_k = k T + (k - 1) t_ref with T = tau ln((I - v_reset) / (I - v_th)), the first one from zero."""
    current, tau, v_th = (torch.tensor(x, **DOUBLE, requires_grad=True) for x in (1.5, 20.0, 1.0))
    first = tau * torch.log(current / (current - v_th))
    later = tau * torch.log((current - options.get("v_reset", 0.0)) / (current - v_th)) + options.get("t_ref", 0.0)
    exact = [torch.autograd.grad(first + k * later, [current, tau, v_th], retain_graph=True) for k in range(3)]
    errors = []
    for dt in (0.1, 0.025):
        value = constant(1.5)
        cell = tdn.LIF(tdn.Learned(20.0), v_th=tdn.Learned(1.0), dt=dt, **options).double()
        net = driven(cell, Current(value))
        times = net.simulate(75.0, **EXACT).spike_times("N", 3)[0]
        torch.testing.assert_close(times[0], first.detach(), rtol=0, atol=0.01 * dt)
        error = 0.0
        for time, (by_current, by_tau, by_threshold) in zip(times, exact, strict=True):
            found = torch.autograd.grad(time, [value, cell.tau_mem.raw, cell.v_th.raw], retain_graph=True)
            slope = torch.autograd.grad(cell.tau_mem(), cell.tau_mem.raw)[0]
            wanted = by_current, by_tau * slope, by_threshold
            error = max(error, *(float((a - b).abs() / b.abs()) for a, b in zip(found, wanted, strict=True)))
        errors.append(error)
    assert all(error < 0.01 * dt for error, dt in zip(errors, (0.1, 0.025), strict=True))


def test_one_input_through_a_current():
    """The first spike after one arrival, from v(t) = w R (e^(-t/tau) - e^(-t/tau_s)) / (tau / tau_s - 1) = 1."""
    operands = [torch.tensor(x, **DOUBLE, requires_grad=True) for x in (8.0, 20.0, 5.0)]

    def potential(t: Tensor, weight: Tensor, tau: Tensor, tau_syn: Tensor) -> Tensor:
        return weight * (torch.exp(-t / tau) - torch.exp(-t / tau_syn)) / (tau / tau_syn - 1)

    low, high = 0.0, 8.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if potential(torch.tensor(middle), *operands) < 1 else (low, middle)
    moment = torch.tensor(low, **DOUBLE, requires_grad=True)
    slope, *by_operands = torch.autograd.grad(potential(moment, *operands), [moment, *operands])
    errors = []
    for dt in (0.1, 0.05, 0.025):
        cell = tdn.SynapticLIF(tdn.Learned(20.0), tdn.Learned(5.0), dt=dt).double()
        source = SpikeSource(1, torch.tensor([1.0]), torch.tensor([0]))
        rule = wiring.Given(torch.tensor([0]), torch.tensor([0]), weight=torch.tensor([8.0], **DOUBLE))
        projection = Projection("in", "N", rule, delay=2.0, learned=True)
        net = SpikingNetwork({"N": Population(1, cell), "in": source}, [projection], dtype=torch.float64)
        time = net.simulate(20.0, **EXACT).spike_times("N")[0, 0]
        assert time.item() == pytest.approx(3.0 + low, abs=0.02 * dt)
        taus = [cell.tau_mem.raw, cell.tau_syn.raw]
        found = torch.autograd.grad(time, [net.weights["in->N"], *taus])
        inner = [1.0, *(torch.autograd.grad(q(), q.raw)[0] for q in (cell.tau_mem, cell.tau_syn))]
        wanted = [-by * scale / slope for by, scale in zip(by_operands, inner, strict=True)]
        errors.append(max(float((a - b).abs() / b.abs()) for a, b in zip(found, wanted, strict=True)))
    assert all(error < 0.02 * dt**2 for error, dt in zip(errors, (0.1, 0.05, 0.025), strict=True))


def layers() -> tuple[list[tuple[int, int, float, float]], list[tuple[float, int]], list[float]]:
    """Two layers, the second of which inhibits the first; no two events of a neuron fall together."""
    draw = random.Random(331)
    synapses = [(a, b, draw.uniform(1.6, 2.4), 0.4) for a in (5, 6, 7) for b in (0, 1, 2)]
    synapses += [(a, b, draw.uniform(1.0, 1.6), 0.7 + 0.3 * (b - 3)) for a in (0, 1, 2) for b in (3, 4)]
    synapses += [(a, b, -draw.uniform(0, 0.3), 1.2) for a in (3, 4) for b in (0, 1, 2)]
    synapses += [(a, b, draw.uniform(-0.4, 0.4), 0.2) for a in (0, 1, 2) for b in (0, 1, 2) if a != b]
    inputs = sorted((round(draw.uniform(0.3, 11), 1), 5 + k % 3) for k in range(9))
    return sorted(synapses), inputs, [draw.uniform(0, 0.5) for _ in range(5)]


def current_cell(dt: float, **options) -> tdn.core.Dynamics:
    return tdn.SynapticLIF(10.0, 4.0, dt=dt, **options)


def chain(dt: float, **options) -> tdn.core.Dynamics:
    return tdn.Chain(tdn.ExponentialSynapse(4.0, dt=dt), tdn.LIF(10.0, dt=dt, **options))


def on_grid(dt: float, make=current_cell) -> tuple[SpikingNetwork, Tensor]:
    synapses, inputs, start = layers()
    cell = make(dt, R=1.3, reset="value", v_reset=0.1, t_ref=1.5).double()
    first = torch.tensor(start, **DOUBLE, requires_grad=True)
    field = "1.v" if make is chain else "v"
    times, pre = zip(*inputs, strict=True)
    populations = {
        "N": Population(5, cell, initial={field: first}),
        "in": SpikeSource(3, torch.tensor(times), torch.tensor(pre) - 5),
    }
    projections = []
    for name, low, high in (("N", 0, 5), ("in", 5, 8)):
        own = [synapse for synapse in synapses if low <= synapse[0] < high]
        pre, post, weight, delay = (torch.tensor(column) for column in zip(*own, strict=True))
        rule = wiring.Given(pre - low, post, weight=weight.double(), delay=delay.double())
        projections.append(Projection(name, "N", rule, learned=True))
    return SpikingNetwork(populations, projections, dtype=torch.float64, owners=1), first


def loss_on_grid(net: SpikingNetwork) -> tuple[Tensor, networks.Simulated]:
    """The first two times of each neuron and the last potentials, each with a weight of its own."""
    field = next(iter(net.populations["N"].initial))
    found = net.simulate(14.0, watch={"N": {field: range(5)}}, **EXACT)
    times = found.spike_times("N", 2)
    loss = (torch.linspace(1.0, -2.0, 10, **DOUBLE) * times.flatten()).sum()
    return loss + (torch.linspace(-1.0, 1.5, 5, **DOUBLE) * found.traces["N"][field][-1]).sum(), found


def gradients(net: SpikingNetwork, first: Tensor) -> Tensor:
    loss, _ = loss_on_grid(net)
    return torch.cat(torch.autograd.grad(loss, [net.weights["N->N"], net.weights["in->N"], first]))


def by_events() -> tuple[EventNetwork, Tensor]:
    reference = EventNetwork(*layers(), duration=14.0).run()
    seen, by_time = [0] * 5, []
    weighting = torch.linspace(1.0, -2.0, 10).reshape(5, 2).tolist()
    for _, i in reference.spikes:
        by_time.append(weighting[i][seen[i]] if seen[i] < 2 else 0.0)
        seen[i] += 1
    weights, first = reference.adjoint(by_time, torch.linspace(-1.0, 1.5, 5).tolist())
    return reference, torch.tensor([*weights, *first], **DOUBLE)


@pytest.mark.parametrize("make", [current_cell, chain])
def test_a_network_comes_to_eventprop(make):
    """Two layers, delays, resets, refractory periods, feedback: weights and first potentials."""
    reference, wanted = by_events()
    errors = []
    for dt in (0.02, 0.01, 0.005):
        net, first = on_grid(dt, make)
        found = gradients(net, first)
        errors.append(float((found - wanted).abs().max() / wanted.abs().max()))
    assert len(reference.spikes) > 12
    assert all(error < 0.3 * dt for error, dt in zip(errors, (0.02, 0.01, 0.005), strict=True))


def test_finite_differences():
    """Of the run itself, over changes that move spikes by many steps."""
    net, first = on_grid(0.0005)
    found = gradients(net, first)
    weight = net.weights["in->N"]
    for k in (0, 4, 8):
        sides = []
        for change in (0.05, -0.05):
            with torch.no_grad():
                weight[k] += change
                loss, _ = loss_on_grid(net)
                weight[k] -= change
            sides.append(loss.item())
        # A spike on the grid is up to a step late, here .0005 ms.
        wanted = (sides[0] - sides[1]) / 0.1
        assert found[len(net.weights["N->N"]) + k].item() == pytest.approx(wanted, rel=0.02, abs=0.02)


def conductances(dt: float) -> tdn.core.Dynamics:
    receptor = tdn.Receptor(0.0, tau_decay=5.0, name="E")
    synapse = tdn.ConductanceSynapse([receptor], output="mean", dt=dt)
    return tdn.Chain(synapse, tdn.ConductanceLIF([receptor], v_th=-50.0, v_reset=-60.0, t_ref=2.0, dt=dt))


def moving_threshold(dt: float) -> tdn.core.Dynamics:
    return tdn.SynapticLIF(10.0, 4.0, R=2.0, adaptation=tdn.AdaptiveThreshold(), t_ref=1.0, dt=dt)


def recovery(dt: float) -> tdn.core.Dynamics:
    return tdn.Chain(tdn.ExponentialSynapse(4.0, dt=dt), tdn.Izhikevich(dt=dt))


@pytest.mark.parametrize(("make", "weight"), [(conductances, 20.0), (moving_threshold, 2.5), (recovery, 12.0)])
def test_other_cells(make, weight):
    """Three spike times by the weight of all inputs, against finite differences of the times themselves."""
    source = SpikeSource(4, torch.tensor([1.5, 2.1, 4.7, 6.0, 9.5, 11.2, 12.9, 16.1]), torch.arange(8) % 4)
    rule = wiring.Given(torch.arange(4), torch.zeros(4, dtype=torch.int64))

    def times(factor: float, dt: float = 0.004) -> tuple[Tensor, Tensor]:
        feed = Projection("in", "N", rule, weight * factor, 1.0, learned=True)
        net = SpikingNetwork({"N": Population(1, make(dt).double()), "in": source}, [feed], dtype=torch.float64)
        return net.simulate(24.0, **EXACT).spike_times("N", 3)[0], net.weights["in->N"]

    middle, weights = times(1.0)
    assert torch.isfinite(middle).all()
    found = [torch.autograd.grad(time, weights, retain_graph=True)[0].sum() * weight for time in middle]
    wanted = (times(1.02)[0] - times(0.98)[0]) / 0.04
    torch.testing.assert_close(torch.stack(found), wanted.detach(), rtol=0.02, atol=0.02)


def test_what_is_watched_and_filtered_stands_for_integrals():
    """Of v and of the square of a filtered train, which jump at spikes, against their closed forms."""
    current = torch.tensor(1.5, **DOUBLE, requires_grad=True)
    until = 20.0 * torch.log(current / (current - 1))
    times = until + torch.arange(3) * (until + 2.0)
    left = 85.0 - (times[2] + 2.0)
    assert 0 < left < until
    area = 3 * current * until - 20.0 * 3 + current * left - 20.0 * current * (1 - torch.exp(-left / 20.0))
    apart = (times[:, None] - times).abs()
    overlap = 2.0 * (torch.exp(-apart / 4.0) - torch.exp(-(170.0 - times[:, None] - times) / 4.0)).sum()
    wanted = [torch.autograd.grad(each, current, retain_graph=True)[0].item() for each in (area, overlap)]
    errors = []
    for dt in (0.1, 0.05):
        value = constant(1.5)
        net = driven(tdn.LIF(20.0, reset="value", t_ref=2.0, dt=dt), Current(value))
        found = net.simulate(85.0, bin=dt, tau=4.0, watch={"N": {"v": [0]}}, gradient="spike_times")
        sums = dt * found.traces["N"]["v"].sum(), dt * found.filtered["N"].square().sum()
        slopes = [torch.autograd.grad(each, value, retain_graph=True)[0].item() for each in sums]
        errors.append([abs(a / b - 1) for a, b in zip(slopes, wanted, strict=True)])
    assert all(error < dt for pair, dt in zip(errors, (0.1, 0.05), strict=True) for error in pair)


def test_steps_that_are_left_of_a_refractory_period_move_with_the_spike():
    """Their integral is that of t_ref - (t - t_k), of the second spike cut off .75 ms behind it."""
    current = torch.tensor(1.5, **DOUBLE, requires_grad=True)
    second = 2 * 20.0 * torch.log(current / (current - 1)) + 2.0
    (wanted,) = torch.autograd.grad(-(2.0 - 0.75) * second, current)
    value, dt = constant(1.5), 0.01
    net = driven(tdn.LIF(20.0, reset="value", t_ref=2.0, dt=dt), Current(value))
    found = net.simulate(round(second.item() + 0.75, 2), watch={"N": {"refractory": [0]}}, gradient="spike_times")
    (slope,) = torch.autograd.grad(dt * dt * found.traces["N"]["refractory"].sum(), value)
    assert slope.item() == pytest.approx(wanted.item(), rel=0.01)


def test_an_upstroke():
    """Of an exponential neuron: the first passage takes the integral of 1 / v', which a current shortens."""
    v = torch.linspace(-65.0, -45.0, 20_001, **DOUBLE)
    current = torch.tensor(4.0, **DOUBLE, requires_grad=True)
    speed = (-65.0 - v + 3.48 * torch.exp((v + 59.9) / 3.48) + current) / 10.0
    moment = torch.trapezoid(1 / speed, v)
    (wanted,) = torch.autograd.grad(moment, current)
    value = constant(4.0)
    found = driven(tdn.EIF(v_peak=-45.0, dt=0.05), Current(value)).simulate(60.0, **EXACT).spike_times("N")[0, 0]
    assert found.item() == pytest.approx(moment.item(), abs=1e-3)
    assert torch.autograd.grad(found, value)[0].item() == pytest.approx(wanted.item(), rel=1e-4)


def recurrent(owners: int) -> tuple[SpikingNetwork, list[Tensor]]:
    """Excited and inhibited cells with delays and a drive."""
    value = nn.Parameter(torch.linspace(0.2, 0.4, 192, **DOUBLE))
    cell = tdn.TwoSynapseLIF(tdn.Learned(10.0), 4.0, 7.0, dt=0.1, reset="value", t_ref=1.0).double()
    drives = [Current(value, "exc"), Poisson(2000.0, 0.1, "exc")]
    start = torch.rand(192, generator=torch.Generator().manual_seed(3), **DOUBLE).requires_grad_()
    population = Population(192, cell, inputs=("exc", "inh"), drives=drives, initial={"v": start})
    delay = wiring.Uniform(0.1, 1.6)
    projections = [
        Projection("N", "N", wiring.FixedInDegree(10), weight, delay, receptor, learned=True)
        for receptor, weight in (("exc", 0.2), ("inh", -0.3))
    ]
    net = SpikingNetwork({"N": population}, projections, dtype=torch.float64, owners=owners, seed=4)
    return net, [*net.parameters(), start]


def test_threads_change_nothing_and_owners_the_last_bits(monkeypatch):
    for module in (networks.engine, networks.backward):
        monkeypatch.setattr(module, "threads_for", lambda operations: torch.get_num_threads())

    def found(owners: int) -> list[Tensor]:
        net, operands = recurrent(owners)
        run = net.simulate(9.0, bin=3.0, tau=4.0, watch={"N": {"v": range(0, 192, 7)}}, **EXACT)
        assert len(run.spikes) > 100
        times = run.spike_times("N", 2)
        loss = times[times < 9].square().sum() + run.filtered["N"].square().sum() + run.traces["N"]["v"].square().sum()
        return list(torch.autograd.grad(loss, operands))

    wanted = found(3)
    assert all(each.abs().max() > 0 for each in wanted)
    for each in on_threads(lambda: found(3)):
        assert all(torch.equal(a, b) for a, b in zip(each, wanted, strict=True))
    for a, b in zip(found(1), wanted, strict=True):
        assert (a - b).abs().max() <= 1e-9 * b.abs().max()


def test_only_rows_of_spikes_are_walked_whatever_the_surrogate():
    cell = tdn.SynapticLIF(20.0, 5.0, dt=0.5, surrogate=tdn.ATan()).double()
    back = Projection("A", "A", wiring.FixedOutDegree(2), 0.1, 0.5, learned=True)
    population = Population(10_001, cell, drives=[Current(1.0)])
    net = SpikingNetwork({"A": population}, [back], dtype=torch.float64, owners=1)
    found = net.simulate(10.0, tau=5.0, gradient="spike_times")
    found.filtered["A"].sum().backward()
    assert found.work["rows"] == len(found.spikes) > 10_000
    assert net.weights["A->A"].grad.abs().sum() > 0
    assert not found.counts["A"].requires_grad
    assert len(found.times) == 0


def test_two_neurons_learn_when_to_spike():
    source = SpikeSource(8, torch.arange(1.0, 9.0), torch.arange(8))
    rule = wiring.Given(*(at.flatten() for at in torch.meshgrid(torch.arange(8), torch.arange(2), indexing="ij")))
    cell = tdn.SynapticLIF(10.0, 4.0, R=2.0, dt=0.1).double()
    lines = Projection("in", "N", rule, wiring.Uniform(0.4, 0.8), delay=0.5, learned=True)
    cross = Projection("N", "N", wiring.Given(torch.tensor([0, 1]), torch.tensor([1, 0])), -0.2, 1.0, learned=True)
    net = SpikingNetwork({"N": Population(2, cell), "in": source}, [lines, cross], dtype=torch.float64, seed=2)
    wanted = torch.tensor([6.3, 9.2], **DOUBLE)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05, betas=(0.5, 0.9))
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.93)
    errors = []
    for _ in range(15):
        optimizer.zero_grad()
        wrong = net.simulate(14.0, **EXACT).spike_times("N")[:, 0] - wanted
        wrong.square().sum().backward()
        optimizer.step()
        schedule.step()
        errors.append(float(wrong.detach().abs().max()))
    assert errors[0] > 2
    assert errors[-1] < 0.1


def test_a_slow_crossing_counts_as_faster():
    """At the first spike v' = (I - v_th) / tau = .025 per ms."""
    value = constant(1.5)
    net = driven(tdn.LIF(20.0, reset="value", dt=0.1), Current(value))
    slopes = []
    for slowest in (None, 0.01, 0.05):
        found = net.simulate(30.0, slowest=slowest, **EXACT)
        slopes += torch.autograd.grad(found.spike_times("N")[0, 0], value)
        assert found.work["grazing"] == 0
    assert slopes[0] == slopes[1]
    assert (slopes[0] / slopes[2]).item() == pytest.approx(2.0, rel=1e-3)


def test_what_starts_above_its_threshold_crosses_nothing():
    value = constant(0.0)
    net = driven(tdn.LIF(20.0, v_th=0.5, dt=0.1), Current(value), initial={"v": 1.0})
    found = net.simulate(1.0, **EXACT)
    (slope,) = torch.autograd.grad(found.spike_times("N")[0, 0], value)
    assert len(found.spikes) > 0
    assert found.work["grazing"] > 0
    assert slope == 0


@pytest.mark.parametrize("reset", ["value", "subtract"])
def test_what_starts_above_its_threshold_and_rises_crosses_nothing_either(reset):
    """v(0) = 1.5 spikes at once whatever it is; then t = tau ln((I - v) / (I - v_th)), from v = 0 or from .5."""
    current, first = (torch.tensor(x, **DOUBLE, requires_grad=True) for x in (3.0, 1.5))
    after = first - 1.0 if reset == "subtract" else 0.0 * first
    wanted = torch.autograd.grad(20.0 * torch.log((current - after) / (current - 1.0)), [current, first])
    value, start = constant(3.0), torch.tensor([1.5], **DOUBLE, requires_grad=True)
    net = driven(tdn.LIF(20.0, reset=reset, dt=0.01), Current(value), initial={"v": start})
    found = net.simulate(12.0, **EXACT)
    times = found.spike_times("N", 2)[0]
    for time, exact in zip(times, ([0.0, 0.0], wanted), strict=True):
        slopes = torch.autograd.grad(time, [value, start], retain_graph=True)
        assert [slope.item() for slope in slopes] == pytest.approx([float(each) for each in exact], rel=0.01)
    assert found.work["grazing"] == 1


def test_times_are_there_without_gradients():
    net = driven(tdn.LIF(20.0, dt=0.1), Current(constant(1.5)))
    wanted = net.simulate(30.0, **EXACT).times
    with torch.no_grad():
        found = net.simulate(30.0, **EXACT)
    assert not found.times.requires_grad
    assert torch.equal(found.times, wanted)


def crossing(cell: tdn.core.Dynamics, *drives: Current | Poisson, inputs: int = 1, **options) -> None:
    population = Population(3, cell, inputs=inputs, drives=drives)
    SpikingNetwork({"N": population}, **options).simulate(1.0, gradient="spike_times")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crossing(tdn.LIF(), Poisson(10.0, 1.0)), "expected spikes that arrive in a current .* got LIF in N"),
        (lambda: crossing(tdn.Chain(nn.Identity(), tdn.LIF()), Poisson(10.0, 1.0)), "expected spikes that arrive in a"),
        (lambda: crossing(tdn.Chain(tdn.LIF(), tdn.LIF())), "a Chain that ends in the only one"),
        (lambda: crossing(tdn.LIF(noise=tdn.WhiteNoise(1.0))), "expected cells without noise"),
        (
            lambda: crossing(tdn.Chain(tdn.TsodyksMarkram(), tdn.LIF()), Poisson(10.0, 1.0)),
            "expected spikes that arrive in a current .* got LIF in N",
        ),
        (lambda: crossing(tdn.EscapeLIF()), "expected cells without noise"),
        (lambda: crossing(tdn.LIF(reset="none")), "expected cells that are reset where their potential crosses"),
        (lambda: crossing(tdn.HodgkinHuxley()), "expected cells that are reset where their potential crosses"),
        (lambda: crossing(tdn.LIF(integrator=tdn.Interpolated())), "expected cells whose spikes lie on the grid"),
        (lambda: crossing(tdn.AdEx()), "cut where steps still follow it .* lower v_peak to -39.9 mV"),
    ],
)
def test_cells_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("front", [lambda: tdn.TsodyksMarkram(dt=0.1), nn.ReLU])
def test_spikes_that_move_must_add_up_where_they_arrive(front):
    """Given spikes may arrive anywhere, for they stay; where others meet, their times have another derivative."""
    cell = tdn.Chain(front(), tdn.ExponentialSynapse(dt=0.1), tdn.LIF(dt=0.1)).double()
    populations = {"N": Population(2, cell), "in": SpikeSource(2, torch.tensor([0.5]), torch.tensor([0]))}
    every = [Projection(name, "N", wiring.FixedOutDegree(1), 0.5, 0.1, learned=True) for name in populations]
    SpikingNetwork(populations, every[1:], dtype=torch.float64).simulate(1.0, gradient="spike_times")
    with pytest.raises(ValueError, match="expected layers in front of it behind which spikes that move add up"):
        SpikingNetwork(populations, every, dtype=torch.float64).simulate(1.0, gradient="spike_times")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gradient": "exact"}, "expected gradient to be one of"),
        ({"times": True}, "expected times= and slowest= with gradient='spike_times', got 'surrogate'"),
        ({"slowest": 0.1}, "expected times= and slowest= with gradient='spike_times', got 'surrogate'"),
        ({"gradient": "spike_times", "slowest": -0.1}, "expected slowest"),
    ],
)
def test_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        driven(tdn.LIF(dt=0.5)).simulate(1.0, **options)


def test_times_must_be_asked_for():
    found = driven(tdn.LIF(dt=0.5), Current(2.0)).simulate(30.0)
    with pytest.raises(ValueError, match="expected a run that returns the times of its spikes"):
        found.spike_times("N")
