"""Maass, Natschlaeger & Markram (2002), Neural Comput. 14:2531: a liquid of spiking neurons, read out by a line.

135 integrate-and-fire neurons in a column of 15 x 3 x 3, a fifth of them inhibitory, are coupled by dynamic synapses
with the probability :math:`C e^{-(d / \\lambda)^2}`. They hear four spike trains in segments of 150 ms, each a jittered
copy of one of two templates. Linear readouts of the liquid at the very end, by ridge regression, tell which template
the last segment was, and the one before: the liquid remembers what its input alone, filtered just as long, does not.

Wiring, strengths and cells are those of the paper, in units of its threshold of 15 mV; synapses onto either kind are
alike here, their constants the means, all axons take 1 ms, and the strengths have a common factor of 1.5.
Run ``python examples/papers/Maass_2002.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro.decoding import ridge_readout
from torchdyn_neuro.plotting import raster

matplotlib.use("Agg")
import matplotlib.pyplot as plt

GRID, LAMBDA = (15, 3, 3), 2.0
CELLS, INPUTS, SEGMENTS, LENGTH = 135, 4, 4, 150  # the last: ms
DENSITY = {"EE": 0.3, "EI": 0.2, "IE": 0.4, "II": 0.1}  # from, to
STRENGTH = {"EE": 30.0, "EI": 60.0, "IE": -19.0, "II": -19.0}  # nA, of a membrane of 1 MOhm


def liquid(generator: torch.Generator) -> tuple[tdn.Network, Tensor]:
    """The column, and the weights [cells, inputs] of what it hears."""
    places = torch.cartesian_prod(*(torch.arange(float(size)) for size in GRID))
    inhibits = torch.rand(CELLS, generator=generator) < 0.2
    kinds = ["I" if inhibitory else "E" for inhibitory in inhibits.tolist()]
    density, strength = (torch.tensor([[table[a + b] for a in kinds] for b in kinds]) for table in (DENSITY, STRENGTH))
    near = torch.exp(-((torch.cdist(places, places) / LAMBDA) ** 2))
    wired = torch.rand(CELLS, CELLS, generator=generator) < density * near
    coupling = nn.Linear(CELLS, CELLS, bias=False)
    coupling.weight.data = (1.5 * strength / 15 * wired).fill_diagonal_(0)
    U, tau_d, tau_f, tau_syn = (
        torch.where(inhibits, i, e) for e, i in ((0.5, 0.25), (1100.0, 700.0), (50.0, 20.0), (3.0, 6.0))
    )
    synapses = tdn.Chain(tdn.TsodyksMarkram(U, tau_f, tau_d, form="m98"), tdn.ExponentialSynapse(tau_syn), coupling)
    cells = tdn.LIF(30.0, v_reset=0.9, reset="value", t_ref=3.0)
    heard = (torch.rand(CELLS, INPUTS, generator=generator) < 0.3).float()
    return tdn.Network(cells, synapses, delay=1.0), heard


def trains(trials: int, generator: torch.Generator, rate: float = 20.0, jitter: float = 4.0) -> tuple[Tensor, Tensor]:
    """Spikes [T, trials, inputs], and which template each segment is of, [trials, segments]."""
    templates = torch.rand(2, SEGMENTS, LENGTH, INPUTS, generator=generator) < rate / 1000
    labels = torch.randint(2, (trials, SEGMENTS), generator=generator)
    chosen = templates[labels, torch.arange(SEGMENTS)].flatten(1, 2)
    trial, time, unit = chosen.nonzero(as_tuple=True)
    time = (time + jitter * torch.randn(len(time), generator=generator)).round().long()
    inside = (time >= 0) & (time < SEGMENTS * LENGTH)
    spikes = torch.zeros(SEGMENTS * LENGTH, trials, INPUTS)
    spikes[time[inside], trial[inside], unit[inside]] = 1
    return spikes, labels


def accuracy(states: Tensor, labels: Tensor, share: float = 0.75) -> list[float]:
    """Of a readout [trials, N] for each segment: correct answers in trials that it has not seen."""
    seen = round(share * len(states))
    found = []
    for segment in labels.T:
        readout = ridge_readout(states[:seen], segment[:seen], alpha=1.0)
        found.append((readout(states[seen:]).argmax(1) == segment[seen:]).float().mean().item())
    return found


@torch.no_grad()
def main(picture: Path = Path("pictures/Maass_2002.png"), trials: int = 800) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    column, heard = liquid(generator)
    spikes, labels = trains(trials, generator)
    current = 0.9 + tdn.ExponentialSynapse(3.0)(spikes) @ heard.T
    response = column(current)
    trace = tdn.ExponentialSynapse(30.0)  # what a readout neuron hears of each cell
    states, inputs = trace(response), trace(spikes)
    of_liquid, of_inputs = accuracy(states[-1], labels), accuracy(inputs[-1], labels)
    for name, values in (("liquid", of_liquid), ("input alone", of_inputs)):
        print(f"{name:12s}" + ", ".join(f"segment {k + 1}: {100 * value:.0f} %" for k, value in enumerate(values)))
    assert of_liquid[-1] > 0.95
    assert of_liquid[-2] > of_inputs[-2] + 0.2

    # Separation: how far apart the liquid is for two inputs, by whether their last segments are of one template.
    first, second = states[:, : trials // 2], states[:, trials // 2 : 2 * (trials // 2)]
    same = (labels[: trials // 2] == labels[trials // 2 : 2 * (trials // 2)])[:, -1]
    distance = (first - second).norm(dim=-1)
    apart = {name: distance[:, mask].mean(1) for name, mask in (("another", ~same), ("the same", same))}

    figure, axes = plt.subplots(1, 3, figsize=(14, 3.9), layout="constrained")
    raster(
        torch.cat([response[:, 0], spikes[:, 0]], 1), populations={"liquid": CELLS, "input": INPUTS}, ax=axes[0], s=3
    )
    axes[0].set_title("one trial")
    for name, values in apart.items():
        axes[1].plot(values, label=f"{name} last template")
    axes[1].set(xlabel="time (ms)", ylabel="distance of two states", title="separation", ylim=(0, None))
    axes[1].legend(frameon=False, loc="upper right")
    for offset, name, values in ((-0.2, "liquid", of_liquid), (0.2, "input alone", of_inputs)):
        axes[2].bar(torch.arange(SEGMENTS) + 1 + offset, [100 * value for value in values], width=0.38, label=name)
    axes[2].axhline(50, color="black", linestyle=":", linewidth=0.8)
    axes[2].set(xlabel="segment that is asked for", ylabel="correct (%)", xticks=range(1, 5), ylim=(0, 118))
    axes[2].set_title("read out at the end of segment 4")
    axes[2].legend(frameon=False, loc="upper left", ncols=2)
    for border in range(LENGTH, SEGMENTS * LENGTH, LENGTH):
        axes[0].axvline(border, color="0.7", linewidth=0.8, zorder=0)
        axes[1].axvline(border, color="0.7", linewidth=0.8, zorder=0)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {
        "liquid": of_liquid,
        "inputs": of_inputs,
        "rate": 1000 * response.mean().item(),
        "labels": labels,
        "states": states[-1],
        "distance": {name: values[-LENGTH:].mean().item() for name, values in apart.items()},
    }


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
