"""Vogels & Abbott (2005), J. Neurosci. 25:10786: activity that keeps itself going, without noise from outside.

10,000 leaky cells, four of five excitatory, of which each reaches every fiftieth: 160 excitatory and 40 inhibitory
inputs, all of them conductances of 5 and 10 ms. Random spikes for 50 ms begin it. With strong synapses (.6 and 6.7
times the leak) the network then goes on by itself, at some 9 Hz, asynchronously, and so irregularly that intervals vary
more than those of random spikes: its own chaos is the noise. With synapses two thirds as strong, in the same
proportion, it is silent as soon as nothing comes from outside. Without inhibition to match excitation it fires all
together, as fast as cells can, or not at all: the map shows which strengths do what.
Constants of cells and synapses are those of benchmark 1 of Brette et al. (2007), J. Comput. Neurosci. 23:349, which is
this network with 4,000 cells.
Run ``python examples/papers/Vogels_Abbott_2005.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro.networks import Population, Projection, Spikes, SpikeSource, SpikingNetwork
from torchdyn_neuro.wiring import FixedProbability, Uniform

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SIZES, CHANCE, DT = {"E": 8000, "I": 2000}, 0.02, 0.1
LEAK, TAU_E, TAU_I = 10.0, 5.0, 10.0  # nS, ms
STRONG = (0.6, 6.7)  # of the leak: excitation, inhibition
WEAK = tuple(2 / 3 * each for each in STRONG)
FREE = (0.8, 2.0)  # too little inhibition
MAP = ((0.4, 0.5, 0.6, 0.8, 1.0), (2.0, 5.0, 6.7, 10.0))
BEGINS, TRAINS, RATE = 50.0, 1000, 30.0  # ms; trains of spikes and their rate, Hz


class Activity(NamedTuple):
    """All spikes, those after it has settled, rates (Hz) in tenths of a second, and the last spike (ms)."""

    spikes: Spikes
    late: Spikes
    rates: torch.Tensor
    last: float

    @property
    def figures(self) -> dict[str, float]:
        """Rates (Hz), CV of the intervals, coherence, and the last spike (ms)."""
        found = {"rate": self.late.rate("E"), "inhibitory": self.late.rate("I"), "last": self.last}
        if len(self.late):
            found |= {"cv": self.late.cv("E", 4), "coherence": self.late.synchrony("E") / SIZES["E"]}
        return found


def network(excitation: float, inhibition: float, seed: int = 1) -> SpikingNetwork:
    """With synapses of such strengths, in units of the leak."""
    receptors = tdn.Receptor(0.0, tau_decay=TAU_E, name="E"), tdn.Receptor(-80.0, tau_decay=TAU_I, name="I")
    synapse = tdn.ConductanceSynapse(receptors, output="mean", dt=DT)
    membrane = {"C": 20.0 * LEAK, "g_L": LEAK, "E_L": -60.0, "v_th": -50.0, "v_reset": -60.0, "t_ref": 5.0}
    cell = tdn.Chain(synapse, tdn.ConductanceLIF(receptors, dt=DT, **membrane))
    first = {"1.v": Uniform(-60.0, -50.0)}
    populations: dict[str, Population | SpikeSource] = {
        name: Population(size, cell, inputs=("exc", "inh"), initial=first) for name, size in SIZES.items()
    }
    drawn = torch.rand(round(BEGINS / DT), TRAINS, generator=torch.Generator().manual_seed(seed))
    step, train = (drawn < RATE * DT / 1000).nonzero().T
    populations["begins"] = SpikeSource(TRAINS, (step + 1) * DT, train)
    # What begins it is the same for all strengths.
    kinds = {"E": (excitation, "exc"), "I": (inhibition, "inh"), "begins": (STRONG[0], "exc")}
    projections = [
        Projection(source, target, FixedProbability(CHANCE), strength * LEAK, DT, receptor)
        for source, (strength, receptor) in kinds.items()
        for target in SIZES
    ]
    return SpikingNetwork(populations, projections, seed=seed)


def run(strengths: tuple[float, ...], duration: float) -> Activity:
    """What becomes of a network."""
    settle = min(200.0, duration / 2)
    spikes = network(*strengths).run(duration).spikes
    times, _ = spikes["E"]
    own = spikes.step >= round(settle / DT)
    late = Spikes(spikes.step[own], spikes.neuron[own], round(settle / DT), spikes.end, DT, spikes.populations)
    rates = torch.histc(times, round(duration / 100), 0, duration) * 10 / SIZES["E"]
    return Activity(spikes, late, rates, float(times.max()))


def draw(strong: Activity, weak: Activity, found: dict[tuple[float, float], Activity], picture: Path) -> None:
    """Rasters, rates, intervals, and the map."""
    figure = plt.figure(figsize=(13, 6.5), layout="constrained")
    axes = figure.subplot_mosaic([["strong", "rate", "gaps"], ["weak", "map", "map"]], width_ratios=(2, 1.2, 1.2))
    for name, activity in (("strong", strong), ("weak", weak)):
        at, end, ax = 0, 500.0, axes[name]
        for kind, shown, color in (("E", 160, "#1f5fa8"), ("I", 40, "#c0392b")):
            times, neuron = activity.spikes[kind]
            own = (neuron < shown) & (times <= end)
            ax.plot(times[own], at + neuron[own], ".", ms=2, color=color)
            at += shown
        ax.axvspan(0, BEGINS, color="0.9", lw=0)
        ax.set(title=f"{name} synapses", xlabel="time (ms)", ylabel="neuron", xlim=(0, end), ylim=(0, at))
        axes["rate"].stairs(activity.rates, 0.1 * torch.arange(len(activity.rates) + 1), label=name)
    axes["rate"].set(title="excitatory cells", xlabel="time (s)", ylabel="rate (Hz)", ylim=(0, None))
    axes["rate"].legend(frameon=False)
    times, neuron = strong.late["E"]
    order = torch.argsort(neuron, stable=True)
    gaps = times[order].diff()[neuron[order].diff() == 0]
    axes["gaps"].hist(gaps, torch.logspace(0.6, 3, 40).tolist(), color="0.4")
    title = f"strong: CV {strong.figures['cv']:.2f}"
    axes["gaps"].set(title=title, xlabel="interval (ms)", xscale="log", ylabel="count")
    across, up = (sorted({key[k] for key in found}) for k in range(2))
    values = torch.full((len(up), len(across)), torch.nan)
    for (e, i), activity in found.items():
        values[up.index(i), across.index(e)] = activity.late.rate("E")
    ax = axes["map"]
    ax.imshow(values.clamp(min=1).log().numpy(), origin="lower", aspect="auto", cmap="Blues")
    for row, each in enumerate(values.tolist()):
        for column, value in enumerate(each):
            shown = f"{value:.0f} Hz" if value > 0 else "silent"
            ax.text(column, row, shown, ha="center", va="center", color="w" if value > 50 else "k")
    ax.set_xticks(range(len(across)), [f"{e:g}" for e in across])
    ax.set_yticks(range(len(up)), [f"{i:g}" for i in up])
    ax.set(title="what goes on", xlabel="excitation (of the leak)", ylabel="inhibition (of the leak)")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")


def main(
    picture: Path = Path("pictures/Vogels_Abbott_2005.png"),
    duration: float = 1500.0,
    strengths: tuple[tuple[float, ...], tuple[float, ...]] = MAP,
) -> dict[str, Any]:
    strong, weak = run(STRONG, duration), run(WEAK, duration)
    found = {(e, i): run((e, i), 400.0) for e in strengths[0] for i in strengths[1]}
    figures = {"strong": strong.figures, "weak": weak.figures, "free": found[FREE].figures}
    for name, each in figures.items():
        print(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in each.items()))
    draw(strong, weak, found, picture)
    assert strong.last > duration - 20.0
    assert 5.0 < figures["strong"]["rate"] < 15.0
    assert figures["strong"]["cv"] > 1.0
    assert figures["strong"]["coherence"] < 0.02
    assert strong.rates[2:].min() > 0.5 * strong.rates[2:].max()  # neither dying nor growing
    assert weak.last < BEGINS + 50.0
    assert figures["free"]["rate"] > 100.0
    assert figures["free"]["cv"] < 0.1
    return figures


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
