"""Brunel (2000), J. Comput. Neurosci. 8:183, Fig. 8: four states of a sparse network of excitation and inhibition.

Which one it is depends on how much stronger inhibition is, ``g``, and on the input from outside in units of what alone
brings a cell to threshold, ``eta``: synchronous and regular (A), irregular under a fast (B) or a slow (D) rhythm, and
asynchronous and irregular (C): the balanced state, with a coefficient of variation near 1.
The network has 2,500 cells with 500 excitatory inputs each, where the paper has 12,500 with 1,000; the strength of a
synapse, J = 0.3 mV, is such that the balanced state is as irregular. All other constants are those of the paper.
Of so few cells, each of which hears a quarter, the asynchronous state still shows waves of its own size.
Run ``python examples/papers/Brunel_2000.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro import analysis
from torchdyn_neuro.plotting import raster, spectrum

matplotlib.use("Agg")
import matplotlib.pyplot as plt

EXCITATORY, INHIBITORY, INPUTS = 2000, 500, 500  # inputs: the excitatory ones; a quarter as many inhibit
J, TAU, DELAY, DT = 0.3, 20.0, 1.5, 0.1  # mV, ms, ms, ms
STATES = {
    "A  synchronous regular": (3.0, 2.0),
    "B  synchronous irregular, fast": (6.0, 4.0),
    "C  asynchronous irregular": (5.0, 2.0),
    "D  synchronous irregular, slow": (4.5, 0.9),
}


class Activity(NamedTuple):
    """What a network did: spikes [T, N], rate (Hz), CV of the intervals, spectrum of the population's rate."""

    spikes: torch.Tensor
    rate: float
    cv: float
    spectrum: analysis.Spectrum


def network(g: float, generator: torch.Generator) -> tdn.Network:
    """Every cell gets so many random inputs of either kind; a spike moves the potential by J, or by -g J."""
    cells = EXCITATORY + INHIBITORY
    coupling = tdn.EventLinear(cells, cells, bias=False)
    weight = torch.zeros(cells, cells)
    for begin, count, inputs, jump in ((0, EXCITATORY, INPUTS, J), (EXCITATORY, INHIBITORY, INPUTS // 4, -g * J)):
        chosen = begin + torch.rand(cells, count, generator=generator).argsort(1)[:, :inputs]
        weight.scatter_(1, chosen, jump * TAU / DT)  # as the current of one step
    coupling.weight.data = weight
    cell = tdn.LIF(TAU, v_th=20.0, v_reset=10.0, reset="value", t_ref=2.0, dt=DT)
    return tdn.Network(cell, coupling, delay=DELAY)


@torch.no_grad()
def run(g: float, eta: float, duration: float, settle: float) -> Activity:
    """The network under Poisson input."""
    generator = torch.Generator().manual_seed(0)
    net = network(g, generator)
    # eta = 1 is the rate at which the mean potential is at threshold; J * INPUTS cancels out of the mean.
    mean = eta * 20.0 * DT / (TAU * J)
    steps, cells = round((settle + duration) / DT), EXCITATORY + INHIBITORY
    outside = torch.poisson(torch.full((steps, 1, cells), mean), generator=generator) * J * TAU / DT
    spikes = net(outside)[round(settle / DT) :, 0]
    population = 1000 / DT * spikes.mean(1)
    cv = torch.nanmean(analysis.cv(spikes, dt=DT)).item()
    found = analysis.power_spectrum(population, dt=DT, segment=min(len(spikes), 2000))
    return Activity(spikes, population.mean().item(), cv, found)


def main(
    picture: Path = Path("pictures/Brunel_2000.png"), duration: float = 1000.0, settle: float = 200.0
) -> dict[str, Any]:
    found = {name: run(*state, duration, settle) for name, state in STATES.items()}
    for name, a in found.items():
        peak = a.spectrum.peak.item()
        print(f"{name:32s}{a.rate:6.1f} Hz, CV {a.cv:.2f}, spectrum peaks at {peak:.0f} Hz")
    regular, fast, balanced, slow = found.values()
    assert regular.cv < 0.1
    assert 0.75 < balanced.cv < 1.25
    # In a rhythm of the network no cell takes part in every cycle.
    assert fast.spectrum.peak > 2 * fast.rate
    assert 100 < fast.spectrum.peak < 250
    assert slow.rate < slow.spectrum.peak < 60

    figure, axes = plt.subplots(3, 4, figsize=(15, 7), layout="constrained", height_ratios=(2, 1, 1.4))
    window = round(200 / DT)
    for (top, middle, bottom), (name, a) in zip(axes.T, found.items(), strict=True):
        shown = torch.cat([a.spikes[-window:, :40], a.spikes[-window:, -10:]], 1)
        raster(shown, dt=DT, populations={"E": 40, "I": 10}, ax=top, s=12)
        top.set(title=f"{name}\n{a.rate:.0f} Hz, CV {a.cv:.2f}", xlabel="", xticklabels=[], ylabel="")
        time = DT * torch.arange(window // 5) * 5
        middle.fill_between(time, 1000 / DT * a.spikes[-window:].mean(1).reshape(-1, 5).mean(1), color="0.3")
        middle.set(xlabel="time (ms)", xlim=(0, 200), ylim=(0, None))
        spectrum(*a.spectrum, unit="Hz", highest=400.0, ax=bottom)
    axes[0, 0].set_ylabel("neuron")
    axes[1, 0].set_ylabel("rate (Hz)")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {name: {"rate": a.rate, "cv": a.cv, "peak": a.spectrum.peak.item()} for name, a in found.items()}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
