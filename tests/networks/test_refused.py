"""What cannot be a network is refused in plain words."""

import math

import pytest
import torch

import torchdyn_neuro as tdn
from tests.networks.small_networks import RULE, conductance_based, lif, net_of, one_input
from torchdyn_neuro import networks, wiring
from torchdyn_neuro.networks import Current, Poisson, Population, Projection, SpikingNetwork
from torchdyn_neuro.wiring import Given


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


def test_too_many_synapses_are_refused_before_any_is_drawn():
    huge = {"A": Population(10_000_000, tdn.LIF(dt=0.1))}
    with pytest.raises(MemoryError, match=r"expected room for 1e\+14 synapses in 6e\+05 GB, got .* that are free"):
        SpikingNetwork(huge, [Projection("A", "A", wiring.FixedProbability(1.0), 1.0, 1.0)])
