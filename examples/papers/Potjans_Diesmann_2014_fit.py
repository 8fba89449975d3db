"""Potjans & Diesmann (2014), Cereb. Cortex 24:785: the drive of the cortical microcircuit found by gradient.

The published circuit sets how many spikes reach each of its eight populations from outside by counts of synapses. Here
these eight rates are off by up to a quarter at first, and are fitted by gradient until all populations fire as
published: each update simulates 300 ms where the last one ended and goes back through 3,000 steps. The gradient of a
Poisson drive to its rate is that of its mean and its variance. The circuit is scaled to 3 % of its neurons. Eight mean
rates do not tell eight drives for sure: the circuit fires as published under drives that are not the published ones.
Run ``python examples/papers/Potjans_Diesmann_2014_fit.py [PICTURE [TABLES.json [SCALE]]]``.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn
from torchdyn_neuro.networks import Poisson, Population, SpikingNetwork

sys.path.insert(0, str(Path(__file__).parent))
from Potjans_Diesmann_2014 import network

matplotlib.use("Agg")
import matplotlib.pyplot as plt

OFF = (1.25, 0.8, 0.85, 1.2, 1.15, 0.85, 1.2, 0.9)
"""Times the published drive, at first."""


def learning(tables: dict[str, Any], scale: float) -> tuple[SpikingNetwork, nn.ParameterList, Tensor]:
    """The circuit with rates that are learned, and those of the publication."""
    plain = network(tables, scale)
    published = torch.tensor([each.drives[0].rate for each in plain.populations.values()])
    rates, populations = nn.ParameterList(), {}
    for off, (name, each) in zip(OFF, plain.populations.items(), strict=True):
        # Its slopes add up to about what a cell gains by a millivolt.
        each.cell.surrogate = tdn.Damped(tdn.Triangular(0.5), 0.02)
        (drive,) = each.drives
        rates.append(nn.Parameter(torch.tensor(off * drive.rate)))
        drives = [Poisson(rates[-1], drive.weight)]
        populations[name] = Population(each.neurons, each.cell, drives=drives, initial=each.initial)
    return SpikingNetwork(populations, plain.projections, seed=1), rates, published


def main(
    picture: Path = Path("pictures/Potjans_Diesmann_2014_fit.png"),
    tables: Path = Path("cortical_microcircuit.json"),
    scale: float = 0.03,
    updates: int = 120,
) -> dict[str, Any]:
    described = json.loads(Path(tables).read_text())
    names, wanted = described["populations"], torch.tensor(described["mean_rates_hz"])
    net, rates, published = learning(described, scale)
    print(f"{net.layout.total} neurons, {net.packed.synapses} synapses")
    start = net.run(500.0)
    first = torch.tensor([start.spikes.rate(name) for name in names])
    groups = [{"params": [rate], "lr": 0.02 * base.item()} for rate, base in zip(rates, published, strict=True)]
    optimizer = torch.optim.Adam(groups, betas=(0.8, 0.95))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    state, path = start.state, []
    for update in range(updates):
        found = net.simulate(300.0, state)
        state = found.state
        got = torch.stack([found.rates(name).mean() for name in names])
        # Errors relative to the rates, but for the lowest ones, of which 300 ms tell little.
        loss = ((got + 0.2) / (wanted + 0.2)).log().square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        path.append(torch.stack([rate.detach() for rate in rates]) / published)
        if update % 10 == 0:
            print(
                f"update {update}: loss {loss.item():.3f}, " + ", ".join(f"{rate:.2f}" for rate in got.tolist()) + " Hz"
            )
    spikes = net.run(3000.0, state).spikes
    last = torch.tensor([spikes.rate(name) for name in names])
    for name, *own in zip(names, wanted, first, last, path[-1], strict=True):
        print(
            "{}: wanted {:.2f} Hz, at first {:.2f}, at last {:.2f}, drive {:.2f} times the published".format(name, *own)
        )

    def error(found: Tensor) -> float:
        return ((found - wanted) / wanted).abs().mean().item()

    print(f"mean relative error {error(first):.2f}, at last {error(last):.2f}")

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    places = torch.arange(len(names)).numpy()
    left.bar(places - 0.2, first.numpy(), 0.4, color="0.75", label="at first")
    left.bar(places + 0.2, last.numpy(), 0.4, color="#1f5fa8", label="fitted")
    left.plot(places, wanted.numpy(), "kd", ms=5, label="published")
    left.set(xticks=places, xticklabels=names, ylabel="rate (Hz)")
    left.legend(frameon=False)
    for k, name in enumerate(names):
        right.plot(torch.stack(path)[:, k].numpy(), color=plt.cm.tab10(k), label=name)
    right.axhline(1.0, color="k", lw=0.8, ls=":")
    right.set(xlabel="update", ylabel="drive / published drive")
    right.legend(frameon=False, ncols=2)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    if updates >= 120:
        assert error(last) < min(0.12, error(first) / 3), "the populations do not fire as published"
    return {"first": error(first), "last": error(last), "drive": path[-1]}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), *map(float, sys.argv[3:]))
