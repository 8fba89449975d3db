"""Brunel (2000), J. Comput. Neurosci. 8:183, Fig. 8: four states of a sparse network of excitation and inhibition.

Which one it is depends on how much stronger inhibition is, ``g``, and on the input from outside in units of what alone
brings a cell to threshold, ``eta``: synchronous and regular (A), synchronous and irregular in a fast rhythm (B), where
no cell takes part in every cycle, or a slow one (D), and asynchronous and irregular (C), the balanced state.
How far the population follows a rhythm is the standard deviation of its rate, in bins of .5 ms, relative to the mean.
In the asynchronous state it is least; it would vanish with ever more cells and ever sparser connections, and here some
of the fast rhythm is left.
All constants are those of the paper: 10,000 excitatory and 2,500 inhibitory cells, 15.6 million synapses.
Run ``python examples/papers/Brunel_2000.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro import analysis
from torchdyn_neuro.networks import Poisson, Population, Projection, Spikes, SpikingNetwork
from torchdyn_neuro.plotting import spectrum
from torchdyn_neuro.wiring import FixedInDegree, Uniform

matplotlib.use("Agg")
import matplotlib.pyplot as plt

CELLS = {"E": 10_000, "I": 2500}
INPUTS = {"E": 1000, "I": 250}
TAU, DELAY, DT, BIN = 20.0, 1.5, 0.1, 5  # ms, ms, ms, steps
JUMP, V_TH = 0.1, 20.0  # mV


class State(NamedTuple):
    """Strength of inhibition, input from outside, and the duration relative to that of B and C."""

    g: float
    eta: float
    share: float = 1.0


STATES = {
    "A  synchronous regular": State(3.0, 2.0, 0.4),
    "B  synchronous irregular, fast": State(6.0, 4.0),
    "C  asynchronous irregular": State(5.0, 2.0),
    "D  synchronous irregular, slow": State(4.5, 0.9, 2.0),
}


class Activity(NamedTuple):
    """What a network did: its spikes, rate (Hz), CV of the intervals, spectrum and modulation of the population's rate.

    control: the modulation if all spikes came at random times.
    """

    spikes: Spikes
    rate: float
    cv: float
    spectrum: analysis.Spectrum
    modulation: float
    control: float


def network(state: State) -> SpikingNetwork:
    """Every cell gets so many random inputs of either kind; a spike moves the potential by .1 or -.1 g mV."""
    jump = JUMP * TAU / DT  # as the current of one step
    # eta = 1 is the rate at which the mean potential is at threshold.
    outside = Poisson(state.eta * 1000 * V_TH / (JUMP * TAU), jump)
    populations = {
        name: Population(
            count,
            tdn.LIF(TAU, v_th=V_TH, v_reset=10.0, reset="value", t_ref=2.0, dt=DT),
            drives=[outside],
            initial={"v": Uniform(0.0, V_TH)},
        )
        for name, count in CELLS.items()
    }
    weight = {"E": jump, "I": -state.g * jump}
    projections = [
        Projection(source, target, FixedInDegree(INPUTS[source]), weight[source], DELAY)
        for source in CELLS
        for target in CELLS
    ]
    return SpikingNetwork(populations, projections)


def run(state: State, duration: float, settle: float) -> Activity:
    """The network under Poisson input."""
    net = network(state)
    settle, duration = (BIN * DT * round(state.share * time / (BIN * DT)) for time in (settle, duration))
    spikes = net.run(duration, net.run(settle, record=False).state).spikes
    steps = spikes.end - spikes.begin
    count = torch.bincount(spikes.step - spikes.begin, minlength=steps).double()
    population = 1000 / DT * count / sum(CELLS.values())
    power = analysis.power_spectrum(population, dt=DT, segment=min(steps, 2000))
    power = analysis.Spectrum(*(part[power.frequency <= 500] for part in power))  # without overtones
    binned = count.reshape(-1, BIN).sum(1)
    modulation = (binned.std() / binned.mean()).item()
    return Activity(spikes, population.mean().item(), spikes.cv("E"), power, modulation, binned.mean().rsqrt().item())


def main(
    picture: Path = Path("pictures/Brunel_2000.png"), duration: float = 500.0, settle: float = 200.0
) -> dict[str, Any]:
    found = {name: run(state, duration, settle) for name, state in STATES.items()}
    for name, a in found.items():
        common = f"modulation {a.modulation:.2f} (Poisson {a.control:.2f})"
        print(f"{name:32s}{a.rate:6.1f} Hz, CV {a.cv:.2f}, {common}, spectrum peaks at {a.spectrum.peak.item():.0f} Hz")
    regular, fast, balanced, slow = found.values()
    assert regular.cv < 0.1
    assert fast.cv > 0.6
    assert min(balanced.cv, slow.cv) > 0.3  # of few spikes, so that long intervals are missing
    # Where they are regular all cells take part in every cycle, where they are not none does.
    assert abs(regular.spectrum.peak / regular.rate - 1) < 0.05
    assert fast.spectrum.peak > 2 * fast.rate
    assert 100 < fast.spectrum.peak < 250
    assert slow.rate < slow.spectrum.peak < 60
    assert balanced.modulation < 0.75 * min(a.modulation for a in (regular, fast, slow))

    figure, axes = plt.subplots(3, 4, figsize=(15, 7), layout="constrained", height_ratios=(2, 1, 1.4))
    for (top, middle, bottom), (name, a) in zip(axes.T, found.items(), strict=True):
        end, at = a.spikes.end * DT, 0
        for kind, shown, color in (("E", 40, "#1f5fa8"), ("I", 10, "#c0392b")):
            times, neuron = a.spikes[kind]
            own = (neuron < shown) & (times > end - 200)
            top.plot(times[own] - end + 200, at + neuron[own], ".", ms=2.5, color=color)
            at += shown
        top.set(
            title=f"{name}\n{a.rate:.0f} Hz, CV {a.cv:.2f}, modulation {a.modulation:.2f}",
            xlabel="",
            xticklabels=[],
            xlim=(0, 200),
        )
        count = torch.histc((a.spikes.step + 1) * DT - end + 200, 400, 0, 200)
        middle.stairs(2000 * count / sum(CELLS.values()), DT * 5 * torch.arange(401), fill=True, color="0.3")
        middle.set(xlabel="time (ms)", xlim=(0, 200), ylim=(0, None))
        spectrum(*a.spectrum, unit="Hz", highest=400.0, ax=bottom)
    axes[0, 0].set_ylabel("neuron")
    axes[1, 0].set_ylabel("rate (Hz)")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    named = ("rate", "cv", "modulation", "control")
    return {
        name: {"peak": a.spectrum.peak.item(), **{key: getattr(a, key) for key in named}} for name, a in found.items()
    }


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
