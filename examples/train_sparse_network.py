"""Train a sparse balanced network of 4,000 spiking neurons, through its 400,000 weights, to wanted rates.

Eight assemblies of 400 excitatory cells, all alike at first, are to fire at 2 to 9 Hz, the inhibitory cells at 8 Hz.
Each update simulates 200 ms (2,000 steps) where the last one ended, and goes back through them along the rows of the
synapses: only neurons near their threshold are walked. The surrogate slope is a triangle; its factor makes the slopes
that a cell meets add up to about what its rate gains by a millivolt, so gradients neither explode nor vanish. Weights
keep their signs. Then the network runs by itself for two seconds, under other Poisson numbers.
Run ``python examples/train_sparse_network.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor

import torchdyn_neuro as tdn
from torchdyn_neuro.networks import Poisson, Population, Projection, Spikes, SpikingNetwork
from torchdyn_neuro.wiring import FixedInDegree, Uniform

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ASSEMBLIES, CELLS = 8, 400
WANTED = torch.linspace(2.0, 9.0, ASSEMBLIES)
INHIBITORY = 8.0


def network(seed: int = 1) -> SpikingNetwork:
    """Excitatory and inhibitory cells, each with 80 and 20 inputs, under Poisson spikes from outside."""
    sizes, populations, projections = {"E": ASSEMBLIES * CELLS, "I": 800}, {}, []
    for target, size in sizes.items():
        cell = tdn.TwoSynapseLIF(
            20.0, 5.0, 10.0, v_th=15.0, v_reset=5.0, reset="value", t_ref=2.0, dt=0.1,
            surrogate=tdn.Damped(tdn.Triangular(0.3), 0.02),
        )  # fmt: skip
        drive = Poisson(3000.0, 1.0, "exc")
        populations[target] = Population(
            size, cell, inputs=("exc", "inh"), drives=[drive], initial={"v": Uniform(0.0, 15.0)}
        )
        for source, inputs, weight in (("E", 80, 1.0), ("I", 20, -5.0)):
            receptor = "exc" if source == "E" else "inh"
            projections.append(
                Projection(source, target, FixedInDegree(inputs), weight, 1.5, receptor=receptor, learned=True)
            )
    return SpikingNetwork(populations, projections, seed=seed)


def by_assembly(rates: Tensor) -> Tensor:
    """The mean rate of each assembly, Hz."""
    return rates.unflatten(-1, (ASSEMBLIES, CELLS)).mean(-1)


def measured(spikes: Spikes) -> tuple[Tensor, float]:
    """The rates of the assemblies and of the inhibitory cells."""
    _, neuron = spikes["E"]
    seconds = (spikes.end - spikes.begin) * spikes.dt / 1000
    return by_assembly(torch.bincount(neuron, minlength=ASSEMBLIES * CELLS) / seconds), spikes.rate("I")


def main(picture: Path = Path("pictures/train_sparse_network.png"), updates: int = 80) -> dict[str, Any]:
    net = network()
    before = net.run(1000.0)
    first, _ = measured(before.spikes)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.08)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates, 0.005)
    state, path = before.state, []
    for update in range(updates):
        found = net.simulate(200.0, state)
        state, rates = found.state, by_assembly(found.rates("E"))
        loss = (rates - WANTED).square().sum() + 4 * (found.rates("I").mean() - INHIBITORY) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for name, weight in net.weights.items():
                weight.clamp_(min=0.0) if name.startswith("E") else weight.clamp_(max=0.0)
        path.append(rates.detach())
        if update % 10 == 0:
            listed = " ".join(f"{rate:.1f}" for rate in rates.tolist())
            print(f"update {update}: loss {loss.item():.2f}, rates {listed} Hz, {found.work['rows']} rows walked")
    after = net.run(2000.0, state)
    last, inhibitory = measured(after.spikes)
    print(f"wanted {WANTED.tolist()}, got {[round(rate, 2) for rate in last.tolist()]} Hz")
    print(f"inhibitory cells {inhibitory:.2f} Hz (wanted {INHIBITORY:g}); CV {after.spikes.cv('E'):.2f}")
    draw(net, before.spikes, after.spikes, torch.stack(path), picture)
    if updates >= 80:
        assert (last - WANTED).abs().max() < 1.0, "the assemblies do not fire as wanted"
        assert abs(inhibitory - INHIBITORY) < 1.0, "the inhibitory cells do not fire as wanted"
    return {"first": first, "last": last, "inhibitory": inhibitory}


def draw(net: SpikingNetwork, before: Spikes, after: Spikes, path: Tensor, picture: Path) -> None:
    """Rasters before and after, rates over the updates, and the weights."""
    figure, axes = plt.subplots(1, 4, figsize=(14, 4.2), layout="constrained")
    colors = plt.cm.viridis(torch.linspace(0, 0.9, ASSEMBLIES).numpy())
    for place, spikes, title in zip(axes, (before, after), ("before", "after"), strict=False):
        times, neuron = spikes["E"]
        shown = (times > spikes.end * spikes.dt - 500) & (neuron % 8 == 0)
        own = neuron[shown].to(torch.int64)
        place.scatter((times[shown] - times[shown].min()).numpy(), own.numpy(), s=0.6, c=colors[(own // CELLS).numpy()])
        place.set(title=f"{title} training", xlabel="time (ms)", ylabel="excitatory cell")
    for k in range(ASSEMBLIES):
        axes[2].plot(path[:, k].numpy(), color=colors[k])
        axes[2].axhline(WANTED[k].item(), color=colors[k], ls=":", lw=1)
    axes[2].set(title="rates of the assemblies (dotted: wanted)", xlabel="update", ylabel="Hz")
    for name, weight in net.weights.items():
        axes[3].hist(weight.detach().numpy(), bins=80, histtype="step", density=True, label=name)
    axes[3].set(title="weights (1 and -5 at first)", xlabel="weight")
    axes[3].legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
