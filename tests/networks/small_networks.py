"""Networks that several tests take."""

import torch

import torchdyn_neuro as tdn
from torchdyn_neuro import networks, wiring
from torchdyn_neuro.networks import Current, Poisson, Population, Projection, SpikingNetwork
from torchdyn_neuro.wiring import Given

DT, TAU, TAU_E, TAU_I, V_TH, T_REF = 0.1, 10.0, 0.5, 2.0, 15.0, 2.0


def listed(spikes: networks.Spikes) -> list[tuple[int, int]]:
    return list(zip(spikes.step.tolist(), spikes.neuron.tolist(), strict=True))


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


def lif(count: int = 5, dt: float = 0.1, **options) -> Population:
    return Population(count, tdn.LIF(dt=dt), **options)


def conductance_based(count: int = 5, **options) -> Population:
    parts = tdn.ConductanceSynapse(output="mean", dt=0.1), tdn.ConductanceLIF(t_ref=5.0, dt=0.1)
    return Population(count, tdn.Chain(*parts), inputs=("exc", "inh"), **options)


def net_of(*projections: Projection, **options) -> SpikingNetwork:
    return SpikingNetwork({"A": lif(), "B": lif(6)}, projections, **options)


def one_input(weight: torch.Tensor) -> SpikingNetwork:
    """All of a population fire in the first step and reach one sum."""
    source = Population(len(weight), tdn.LIF(10.0, v_th=1.0, reset="zero", dt=0.1), drives=[Current(1e3)])
    rule = Given(torch.arange(len(weight)), torch.zeros(len(weight), dtype=torch.int64), weight=weight)
    target = Population(1, tdn.IF(v_th=1e9, dt=0.1))
    return SpikingNetwork({"A": source, "B": target}, [Projection("A", "B", rule, delay=0.1)], owners=2)


RULE = wiring.FixedOutDegree(2)
