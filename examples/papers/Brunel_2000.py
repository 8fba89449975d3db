"""Brunel (2000), J. Comput. Neurosci. 8:183, Fig. 8: four states of a sparse network of excitation and inhibition.

Which one it is depends on how much stronger inhibition is, ``g``, and on the input from outside in units of what alone
brings a cell to threshold, ``eta``: synchronous and regular (A), synchronous and irregular in a fast rhythm (B), where
no cell takes part in every cycle, or a slow one (D), and asynchronous and irregular (C), the balanced state.
How much of what the cells do is common to all of them, their coherence, is the variance of the mean of their counts of
spikes relative to the mean of the variances: 1 / N of Poisson trains, 1 where all fire at once.
The network has 5,000 cells where the paper has 12,500. In the asynchronous state the coherence vanishes as connections
become sparse; hence that state is shown with 100 excitatory inputs to a cell in place of 400, each of them stronger,
and with g = 6 in place of 5. All other constants are those of the paper.
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

EXCITATORY, INHIBITORY = 4000, 1000
TAU, DELAY, DT, BIN = 20.0, 1.5, 0.1, 20  # ms, ms, ms, steps


class State(NamedTuple):
    """Strength of inhibition, input from outside, excitatory inputs (a quarter as many inhibit), their jump (mV)."""

    g: float
    eta: float
    inputs: int = 400
    jump: float = 0.3


STATES = {
    "A  synchronous regular": State(3.0, 2.0),
    "B  synchronous irregular, fast": State(6.0, 4.0),
    "C  asynchronous irregular": State(6.0, 2.0, 100, 0.7),
    "D  synchronous irregular, slow": State(4.5, 0.9),
}


class Activity(NamedTuple):
    """What a network did: spikes [T, N], rate (Hz), CV of the intervals, spectrum of the population's rate, coherence.

    control: the coherence of as many spikes of each cell at random times.
    """

    spikes: torch.Tensor
    rate: float
    cv: float
    spectrum: analysis.Spectrum
    coherence: float
    control: float


def network(state: State, generator: torch.Generator) -> tdn.Network:
    """Every cell gets so many random inputs of either kind; a spike moves the potential by jump, or by -g jump."""
    cells = EXCITATORY + INHIBITORY
    coupling = tdn.EventLinear(cells, cells, bias=False)
    weight = torch.zeros(cells, cells)
    excites, inhibits = (0, EXCITATORY, state.inputs, 1.0), (EXCITATORY, INHIBITORY, state.inputs // 4, -state.g)
    for begin, count, inputs, sign in (excites, inhibits):
        chosen = begin + torch.randint(count, (cells, inputs), generator=generator)
        jump = torch.tensor(sign * state.jump * TAU / DT)  # as the current of one step
        weight.scatter_add_(1, chosen, jump.expand(chosen.shape))
    coupling.weight.data = weight
    cell = tdn.LIF(TAU, v_th=20.0, v_reset=10.0, reset="value", t_ref=2.0, dt=DT)
    return tdn.Network(cell, coupling, delay=DELAY)


def coherence(spikes: torch.Tensor) -> float:
    """The share of the variance of counts in bins that is common to all cells."""
    counts = spikes[: len(spikes) // BIN * BIN].unflatten(0, (-1, BIN)).sum(1)
    return analysis.synchrony(counts).item() ** 2


@torch.no_grad()
def run(state: State, duration: float, settle: float) -> Activity:
    """The network under Poisson input."""
    generator = torch.Generator().manual_seed(0)
    net, cells = network(state, generator), EXCITATORY + INHIBITORY
    # eta = 1 is the rate at which the mean potential is at threshold; the number of inputs cancels out of the mean.
    mean = torch.full((round(100 / DT), 1, cells), state.eta * 20.0 * DT / (TAU * state.jump))
    pieces, at = [], None
    for _ in range(round((settle + duration) / 100)):
        outside = torch.poisson(mean, generator=generator) * state.jump * TAU / DT
        fired, at = net.scan(outside, at)
        pieces.append(fired[:, 0])
    spikes = torch.cat(pieces)[round(settle / DT) :]
    population = 1000 / DT * spikes.mean(1)
    cv = torch.nanmean(analysis.cv(spikes, dt=DT)).item()
    found = analysis.power_spectrum(population, dt=DT, segment=min(len(spikes), 2000))
    found = analysis.Spectrum(*(part[found.frequency <= 500] for part in found))  # without overtones
    apart = torch.zeros_like(spikes)
    times, cell = spikes.nonzero().T
    apart[torch.randint(len(spikes), times.shape, generator=generator), cell] = 1
    return Activity(spikes, population.mean().item(), cv, found, coherence(spikes), coherence(apart))


def main(
    picture: Path = Path("pictures/Brunel_2000.png"), duration: float = 500.0, settle: float = 200.0
) -> dict[str, Any]:
    found = {name: run(state, duration, settle) for name, state in STATES.items()}
    for name, a in found.items():
        common = f"coherence {a.coherence:.4f} (Poisson {a.control:.4f})"
        print(f"{name:32s}{a.rate:6.1f} Hz, CV {a.cv:.2f}, {common}, spectrum peaks at {a.spectrum.peak.item():.0f} Hz")
    regular, fast, balanced, slow = found.values()
    assert regular.cv < 0.1
    assert min(fast.cv, balanced.cv) > 0.75
    assert slow.cv > 0.4  # of few spikes, so that long intervals are missing
    # Where they are regular all cells take part in every cycle, where they are not none does.
    assert abs(regular.spectrum.peak / regular.rate - 1) < 0.05
    assert fast.spectrum.peak > 2 * fast.rate
    assert 100 < fast.spectrum.peak < 250
    assert slow.rate < slow.spectrum.peak < 60
    # Hardly anything that the cells do is common to them, but in a rhythm.
    assert balanced.coherence < 0.006
    assert min(a.coherence for a in (regular, fast, slow)) > 2.5 * balanced.coherence
    assert max(a.control for a in found.values()) < 0.0003

    figure, axes = plt.subplots(3, 4, figsize=(15, 7), layout="constrained", height_ratios=(2, 1, 1.4))
    window = round(200 / DT)
    for (top, middle, bottom), (name, a) in zip(axes.T, found.items(), strict=True):
        shown = torch.cat([a.spikes[-window:, :40], a.spikes[-window:, -10:]], 1)
        raster(shown, dt=DT, populations={"E": 40, "I": 10}, ax=top, s=12)
        top.set(
            title=f"{name}\n{a.rate:.0f} Hz, CV {a.cv:.2f}, coherence {a.coherence:.3f}",
            xlabel="",
            xticklabels=[],
            ylabel="",
        )
        time = DT * torch.arange(window // 5) * 5
        middle.fill_between(time, 1000 / DT * a.spikes[-window:].mean(1).reshape(-1, 5).mean(1), color="0.3")
        middle.set(xlabel="time (ms)", xlim=(0, 200), ylim=(0, None))
        spectrum(*a.spectrum, unit="Hz", highest=400.0, ax=bottom)
    axes[0, 0].set_ylabel("neuron")
    axes[1, 0].set_ylabel("rate (Hz)")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    named = ("rate", "cv", "coherence", "control")
    return {
        name: {"peak": a.spectrum.peak.item(), **{key: getattr(a, key) for key in named}} for name, a in found.items()
    }


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
