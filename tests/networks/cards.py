"""Small networks for the tests of the engine of a GPU."""

import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.networks import Current, Poisson, Population, Projection, SpikeSource, SpikingNetwork
from torchdyn_neuro.wiring import Given, Uniform

DT = 0.5


def given(pre: int, post: int, count: int, weight: float, seed: int, longest: int = 9) -> Given:
    """Synapses whose weights have few digits, so that their sums are the same in whatever order."""
    generator = torch.Generator().manual_seed(seed)
    sources, targets = (
        torch.randint(pre, (count,), generator=generator),
        torch.randint(post, (count,), generator=generator),
    )
    delays = DT * torch.randint(1, longest + 1, (count,), generator=generator)
    weights = weight * torch.randint(1, 64, (count,), generator=generator) / 64
    return Given(sources, targets, weight=weights, delay=delays)


def circuit(dtype: torch.dtype = torch.float32, owners: int = 2, size: int = 1, **options) -> SpikingNetwork:
    """Two populations of one step with other numbers, one of another, and given spikes."""
    excited, inhibited, apart, first = 60 * size, 20 * size, 10 * size, 10

    def lif(tau):
        return tdn.TwoSynapseLIF(tau, 2.0, 4.0, v_th=15.0, reset="zero", t_ref=1.0, dt=DT).to(dtype)

    slow = tdn.LIF(torch.linspace(6.0, 9.0, apart), v_th=2.0, dt=DT).to(dtype)
    inputs = ("exc", "inh")
    drives = [Poisson(600.0, 20.0, "exc"), Poisson(4500.0, -0.5, "inh")]
    drives.insert(1, Current(torch.linspace(0.0, 1.0, excited), "exc"))
    populations = {
        "E": Population(excited, lif(10.0), inputs=inputs, drives=drives, initial={"v": Uniform(0.0, 14.0)}),
        "first": SpikeSource(first, DT * torch.arange(1, 61), torch.arange(60) * 7 % first),
        "I": Population(inhibited, lif(7.0), inputs=inputs, drives=[Poisson(900.0, 20.0, "exc")]),
        "A": Population(apart, slow, drives=[Current(5.0)]),
    }
    sizes = {name: each.neurons for name, each in populations.items()}
    projections = [
        Projection(source, target, given(sizes[source], sizes[target], count * size, weight, k), receptor=receptor)
        for k, (source, target, count, weight, receptor) in enumerate(
            [
                ("E", "E", 240, 4.0, "exc"),
                ("E", "I", 80, 4.0, "exc"),
                ("I", "E", 120, -6.0, "inh"),
                ("I", "I", 40, -6.0, "inh"),
                ("first", "E", 80, 16.0, "exc"),
                ("first", "A", 30, 2.0, 0),
                ("A", "I", 50, 2.0, "exc"),
            ]
        )
    ]
    return SpikingNetwork(populations, projections, seed=3, dtype=dtype, owners=owners, **options)
