"""From ion channels to areas: each level is a module around the one below, and all of it one network that is run.

Channels make a Hodgkin-Huxley cell, cells with a recurrent connection through synapses a population, and populations
that are coupled with a delay of 12 ms make areas. Only the first area gets a pulse; every other one answers that
delay, and the time that its cells take to rise to a spike, after the one before it.
Run ``python examples/multiscale.py [PICTURE]``. Source: Hodgkin & Huxley (1952), J. Physiol. 117:500 (channels, cell).
"""

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro.plotting import raster

matplotlib.use("Agg")
import matplotlib.pyplot as plt

AREAS, EXCITATORY, INHIBITORY = 3, 16, 4
CELLS = EXCITATORY + INHIBITORY
DT, DELAY, DURATION = 0.1, 12.0, 45.0  # ms
BEGIN, END = 5.0, 9.0  # of the pulse, ms
PULSE, SENT = 15.0, 10.0  # uA/cm^2: into the first area, and at most from one area into the next


class ToTheNext(nn.Module):
    """The excitatory cells of an area excite all cells of the next: spikes [B, areas, cells] to currents."""

    def forward(self, spikes: Tensor) -> Tensor:
        sent = SENT * spikes[..., :EXCITATORY].mean(-1, keepdim=True).expand_as(spikes)
        return torch.cat([torch.zeros_like(sent[:, :1]), sent[:, :-1]], 1)


def build() -> tdn.Network:
    """Channels, cell, population, areas: from the inside out."""
    channels = [tdn.Sodium(), tdn.Potassium(), tdn.Leak()]
    cell = tdn.HodgkinHuxley(channels, dt=DT)

    within = tdn.DaleLinear(EXCITATORY, INHIBITORY)
    nn.init.constant_(within.raw, 2.0 / CELLS)
    population = tdn.Network(cell, tdn.Chain(within, tdn.ExponentialSynapse(3.0, dt=DT)), delay=1.0)

    between = tdn.Chain(ToTheNext(), tdn.AlphaSynapse(1.5, dt=DT))
    return tdn.Network(population, between, delay=DELAY)


@torch.no_grad()
def main(picture: Path = Path("pictures/multiscale.png")) -> dict[str, Any]:
    torch.manual_seed(0)
    areas = build()
    time = DT * torch.arange(round(DURATION / DT))
    current = torch.zeros(len(time), 1, AREAS, CELLS)
    current[(time >= BEGIN) & (time < END), :, 0] = PULSE * (1 + 0.1 * torch.randn(CELLS))
    spikes, v = (field[:, 0] for field in tdn.record(areas, current, ["output", "neuron.neuron.v"]).values())
    onsets = [(DT * (spikes[:, area].sum(-1).argmax() + 1)).item() for area in range(AREAS)]
    lags = [after - before for before, after in pairwise(onsets)]
    for area, onset in enumerate(onsets):
        print(f"area {area + 1}: most spikes at {onset:.1f} ms")
    assert (spikes[..., :EXCITATORY].sum(0) > 0).all()
    assert all(DELAY < lag < DELAY + 4 for lag in lags)

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.8), layout="constrained")
    names = {f"area {area + 1}": CELLS for area in range(AREAS)}
    raster(spikes.flatten(1), dt=DT, populations=names, ax=left, s=8)
    left.set_title("one pulse goes through the areas")
    for area, color in zip(range(AREAS), ("tab:red", "tab:blue", "tab:green"), strict=True):
        right.plot(time, v[:, area, 0], color=color, label=f"area {area + 1}")
    right.axvspan(BEGIN, END, color="0.92", zorder=-1)
    right.set(xlabel="time (ms)", ylabel="membrane potential (mV)", title="one cell of each", xlim=(0, DURATION))
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {"onsets": onsets, "lags": lags, "spikes": spikes.sum((0, 2)).tolist()}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
