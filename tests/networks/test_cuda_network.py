"""A network on a GPU: its rows of synapses and what is refused, here; on a card, what it computes."""

import io

import pytest
import torch

import torchdyn_neuro as tdn
from tests.fused.places import NEEDS_CARD
from torchdyn_neuro.core.state import leaves, map_state
from torchdyn_neuro.fused.stepper import recorded
from torchdyn_neuro.networks import Poisson, Population, Projection, SpikingNetwork
from torchdyn_neuro.networks.cuda.groups import groups_of
from torchdyn_neuro.networks.cuda.kept import forget
from torchdyn_neuro.networks.cuda.synapses import on_device
from torchdyn_neuro.wiring import FixedInDegree, FixedProbability, Normal, Uniform

from .cards import DT, circuit

CPU = torch.device("cpu")


def driven(count: int = 400, **options) -> SpikingNetwork:
    """Weights and delays of any size, and noise in the cells of one population."""

    def cell(**own):
        return tdn.LIF(20.0, v_th=15.0, R=1.0, dt=0.1, **own)

    populations = {
        "E": Population(count, cell(noise=tdn.WhiteNoise(0.5)), drives=[Poisson(9000.0, 20.0)]),
        "I": Population(count // 4, cell(), drives=[Poisson(9000.0, 20.0)], initial={"v": Uniform(0.0, 14.0)}),
    }
    projections = [
        Projection(source, target, FixedInDegree(20), Normal(weight, 1.0), Normal(1.5, 0.5, low_bound=0.1), **options)
        for source, weight in (("E", 10.0), ("I", -40.0))
        for target in populations
    ]
    return SpikingNetwork(populations, projections, seed=2, owners=3)


def groups(net: SpikingNetwork):
    with torch.no_grad():
        state, found = net.initial_state(), []
        for each, cell in zip(net.populations.values(), state.cells, strict=True):
            found.append(None if each.cell is None else recorded(each.cell, each.frame(net.dtype), cell))
    return groups_of(found, net.layout)


def listed(net: SpikingNetwork, rows) -> list[tuple[int, ...]]:
    """Source, accumulator, delay and weight of each synapse of a device."""
    sources = torch.repeat_interleave(torch.arange(net.layout.total), rows.starts.diff())
    delay, target = rows.words >> rows.bits, rows.words & ((1 << rows.bits) - 1)
    columns = sources, target, delay, rows.weights.double() * rows.unit
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def expected(net: SpikingNetwork, made) -> list[tuple[int, ...]]:
    """The same of what was drawn, placed as the documentation of a group says."""
    found = []
    names = list(net.populations)
    for number, projection in enumerate(net.projections):
        pre, post, delay = net.synapses(number)
        target = names.index(projection.target)
        (group,) = (group for group in made if target in group.numbers)
        place = group.places[group.numbers.index(target)]
        receptor = net.populations[projection.target].place(projection.receptor)
        at = group.first + receptor * group.width + place + post
        weights = projection.wiring.weight.double()
        found += zip(
            (net.layout.first(names.index(projection.source)) + pre).tolist(),
            at.tolist(),
            delay.tolist(),
            weights[_order(projection.wiring)].tolist(),
            strict=True,
        )
    return sorted(found)


def _order(wiring) -> torch.Tensor:
    return torch.argsort(wiring.pre, stable=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_synapses_on_a_device_are_those_that_were_drawn(dtype):
    net = circuit(dtype)
    made = groups(net)
    assert [group.numbers for group in made] == [(0, 2), (3,)]
    rows = on_device(net.packed, net.layout, made, CPU)
    assert (rows.words.dtype, rows.weights.dtype) == (
        torch.int32,
        torch.int32 if dtype == torch.float32 else torch.int64,
    )
    assert listed(net, rows) == expected(net, made)
    assert on_device(net.packed, net.layout, made, CPU) is rows
    net.packed.weights.mul_(2)
    assert on_device(net.packed, net.layout, made, CPU) is not rows
    forget(net.packed)


def test_weights_on_a_device_are_as_fine_as_their_documentation_says(monkeypatch):
    from torchdyn_neuro.networks.cuda import synapses

    monkeypatch.setattr(synapses, "_PIECE", 300)  # several pieces
    net = driven()
    rows = on_device(net.packed, net.layout, groups(net), CPU)
    assert len(rows.words) == net.packed.synapses
    largest = net.packed.largest()
    held = rows.weights.double() * rows.unit
    weights = net.packed.weights[net.packed.weights != 0].double()
    assert rows.unit <= largest * 2.0**-29
    assert (held.sort().values - weights.sort().values).abs().max() <= rows.unit / 2
    assert int(rows.weights.abs().max()) < 2**30


def test_frozen_weights_stay_whole_numbers():
    net = driven().freeze()
    rows = on_device(net.packed, net.layout, groups(net), CPU)
    assert (rows.weights.dtype, rows.sums, rows.unit) == (torch.int16, torch.int32, net.packed.scale)
    assert rows.weights.long().sum() == net.packed.weights.long().sum()


def test_weights_without_a_number_are_refused():
    net = driven()
    net.packed.weights[7] = float("nan")
    with pytest.raises(ValueError, match="expected finite weights on a GPU, got others"):
        on_device(net.packed, net.layout, groups(net), CPU)


def test_weights_whose_changes_nobody_counts_are_copied_again():
    with torch.inference_mode():
        net = driven(40)
        made = groups(net)
        first = on_device(net.packed, net.layout, made, CPU)
        net.packed.weights.mul_(0.5)
        assert on_device(net.packed, net.layout, made, CPU).unit == first.unit / 2


def test_what_a_gpu_does_not_do_is_refused(monkeypatch):
    monkeypatch.setattr(SpikingNetwork, "_on_card", True)
    with pytest.raises(ValueError, match=r"expected a network on the CPU for gradients.*call net.cpu\(\)"):
        driven(40).simulate(1.0)
    cell = tdn.LIF(dt=0.5)
    back = Projection("E", "E", FixedProbability(0.1), 1.0, 0.5, release=tdn.TsodyksMarkram(dt=0.5))
    net = SpikingNetwork({"E": Population(10, cell)}, [back])
    with pytest.raises(ValueError, match=r"synapses that stay on a GPU, got release= or plasticity="):
        net.run(1.0)


def same(found, wanted):
    assert torch.equal(found.spikes.step, wanted.spikes.step)
    assert torch.equal(found.spikes.neuron, wanted.spikes.neuron)
    for one, other in zip(leaves(found.state), leaves(wanted.state), strict=True):
        assert torch.equal(one, other)
    for name, fields in wanted.traces.items():
        for field, trace in fields.items():
            assert torch.equal(found.traces[name][field], trace)


WATCH = {"E": {"v": [0, 59, 3]}, "A": {"v": [9]}}


@NEEDS_CARD
@pytest.mark.parametrize("size", [1, 30, 500])
@pytest.mark.parametrize(("dtype", "frozen"), [(torch.float32, False), (torch.float64, False), (torch.float32, True)])
def test_on_a_card_spikes_states_and_traces_are_those_of_the_cpu(dtype, frozen, size):
    """Of sums that are exact and a step without elementary functions; two recordings and a part of one."""
    net = circuit(dtype, size=size)
    if frozen:
        net.freeze()
    wanted = net.run(470 * DT, watch=WATCH)
    found = net.to("cuda").run(470 * DT, watch=WATCH)
    same(found, wanted)
    assert all(leaf.device == CPU for leaf in leaves(found.state))
    assert len(found.spikes) > 1000


@NEEDS_CARD
def test_on_a_card_a_run_in_pieces_and_back_to_the_cpu(tmp_path):
    net = circuit()
    whole = net.run(90 * DT)
    net.to("cuda")
    first = net.run(31 * DT, checkpoint=tmp_path / "state.pt", interval=10 * DT)
    state = torch.load(tmp_path / "state.pt")
    for one, other in zip(leaves(state), leaves(first.state), strict=True):
        assert torch.equal(one, other)
    second = net.run(40 * DT, map_state(lambda leaf: leaf.cuda(), state))
    third = net.cpu().run(19 * DT, second.state)
    assert torch.equal(torch.cat([run.spikes.neuron for run in (first, second, third)]), whole.spikes.neuron)
    for one, other in zip(leaves(third.state), leaves(whole.state), strict=True):
        assert torch.equal(one, other)


@NEEDS_CARD
def test_on_a_card_two_runs_are_alike_and_the_rates_are_those_of_the_cpu():
    net = driven(4000)
    wanted = net.run(1000.0).spikes
    net.to("cuda")
    one, other = net.run(1000.0), net.run(1000.0)
    same(one, other)
    for name in net.populations:
        # Float sums in another order: after some 100 ms other spikes of the same statistics.
        assert one.spikes.rate(name) == pytest.approx(wanted.rate(name), rel=0.03)
        assert one.spikes.cv(name) == pytest.approx(wanted.cv(name), rel=0.05)
    early = one.spikes.step < 60
    assert early.sum() > 20
    assert torch.equal(one.spikes.neuron[early], wanted.neuron[wanted.step < 60])


@NEEDS_CARD
def test_on_a_card_weights_that_are_learned_are_read_anew():
    net = driven(learned=True).to("cuda")
    held = dict((*net.named_parameters(), *net.named_buffers()))
    before = net.run(50.0).spikes
    assert all(held[name] is x and x.is_cuda for name, x in (*net.named_parameters(), *net.named_buffers()))
    with torch.no_grad():
        net.weights["E->E"].mul_(8.0)
    after = net.run(50.0).spikes
    assert after.rate("E") > 1.1 * before.rate("E")
    wanted = net.cpu().run(50.0).spikes
    assert after.rate("E") == pytest.approx(wanted.rate("E"), rel=0.05)


@NEEDS_CARD
def test_on_a_card_a_state_without_a_number_ends_the_run():
    net = circuit().to("cuda")
    state = net.initial_state()
    state.cells[0].v[0, 5] = float("nan")
    with pytest.raises(ValueError, match="got NaN in 1 of its neurons"):
        net.run(5 * DT, state)


@NEEDS_CARD
def test_on_a_card_a_copy_and_a_pickle_run_too():
    net = circuit().to("cuda")
    wanted = net.run(20 * DT)
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    same(torch.load(file, weights_only=False).run(20 * DT), wanted)


@NEEDS_CARD
def test_on_a_card_there_is_room_for_as_many_spikes_as_neurons():
    cell = tdn.LIF(20.0, v_th=1.0, dt=0.1)
    every = SpikingNetwork({"E": Population(40_000, cell, initial={"v": 5.0}, drives=[Poisson(1e5, 50.0)])}).to("cuda")
    assert every.run(25.0).spikes.rate("E") == 1e4
