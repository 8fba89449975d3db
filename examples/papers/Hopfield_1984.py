"""Hopfield (1982), PNAS 79:2554, and (1984), PNAS 81:3088: a network with symmetric weights runs down its energy.

Five patterns are stored in 100 graded units, :math:`\\tau \\dot r = -r + \\tanh(g W r)`. From patterns of which a fifth
is turned over the network comes back to those that are stored, and its energy never rises.
Run ``python examples/papers/Hopfield_1984.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch

import torchdyn_neuro as tdn
from torchdyn_neuro import analysis

matplotlib.use("Agg")
import matplotlib.pyplot as plt

UNITS, STORED, TURNED, GAIN = 100, 5, 0.2, 4.0


def main(picture: Path = Path("pictures/Hopfield_1984.png"), trials: int = 40) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randint(2, (STORED, UNITS), generator=generator).double() * 2 - 1
    network = tdn.RateNetwork(UNITS, tau=10.0, activation=tdn.rates.Tanh(GAIN), integrator=tdn.RK4()).double()
    weight = patterns.T @ patterns / UNITS  # Hebb's rule
    network.connection.weight.data = weight.fill_diagonal_(0)

    wanted = patterns[torch.arange(trials) % STORED]
    turned = torch.rand(trials, UNITS, generator=generator).argsort(1) < TURNED * UNITS
    cue = 0.9 * torch.where(turned, -wanted, wanted)
    silence = torch.zeros(100, trials, UNITS, dtype=torch.float64)
    # The cue is where the network starts; no input holds it afterwards.
    start = network.initial_state(silence[0])
    with torch.no_grad():
        rates, _ = network.scan(silence, start._replace(neuron=start.neuron._replace(r=cue)))
        rates = torch.cat([cue[None], rates])
        energy = analysis.energy(weight, torch.atanh(rates) / GAIN, network.activation)
    overlap = (rates * wanted).mean(-1)
    recalled = (rates[-1].sign() == wanted).all(-1).float().mean().item()
    rise = energy.diff(dim=0).max().item()
    print(f"recalled {100 * recalled:.0f} % of {trials} cues without an error; the energy rises by {max(rise, 0):.1g}")
    assert rise < 1e-9
    assert recalled > 0.9

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for ax, values, label in ((left, energy, "energy"), (middle, overlap, "overlap with the stored pattern")):
        ax.plot(values, color="tab:blue", alpha=0.4, linewidth=1)
        ax.set(xlabel="time (ms)", ylabel=label, xlim=(0, 60))
    left.set_title("the energy falls")
    middle.set_title(f"{100 * recalled:.0f} % of the cues are completed")
    shown = torch.stack([cue[0], rates[8, 0], rates[16, 0], rates[-1, 0], wanted[0]]).reshape(5, 10, 10)
    mosaic = torch.cat([torch.cat([frame, torch.full((10, 1), torch.nan)], 1) for frame in shown], 1)
    right.imshow(mosaic.numpy(), cmap="RdBu_r", vmin=-1, vmax=1)
    right.set(yticks=[], xticks=[4.5 + 11 * k for k in range(5)], title="one of them")
    right.set_xticklabels(["0 ms", "8 ms", "16 ms", "100 ms", "stored"])
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {"weight": weight, "rates": rates, "energy": energy, "recalled": recalled, "rise": rise}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
