"""Mongillo, Barak & Tsodyks (2008), Science 319:1543: working memory without spikes, and with them.

Two populations of excitatory cells, each with facilitating synapses of its own, share inhibition. A cue to one of them
loads its synapses. With a low background the cells then are as silent as before, but for seconds a probe that goes to
all of them is answered by the one that was cued. With more background the same network has a second attractor: the
cued population goes on by itself, in bursts of all its cells, long after its synapses would have forgotten, and keeps
them loaded; the other one stays at rest, as both do without a cue (reverberation, bistable). The constants of the
short-term plasticity are those of the paper; the network has 900 cells in place of 10,000, weights to match, and
currents that last 10 ms.
Run ``python examples/papers/Mongillo_2008.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.plotting import raster

matplotlib.use("Agg")
import matplotlib.pyplot as plt

E, I = 400, 100  # cells of each of the two excitatory populations; inhibitory cells  # noqa: E741
CELLS = 2 * E + I
CUED, OTHER = slice(0, E), slice(E, 2 * E)
CUE, DELAY, PROBE = slice(300, 600), slice(1000, 1600), slice(1600, 1640)  # ms
ANSWER, LATE = slice(1600, 1660), slice(3000, 4000)
WEIGHT, CURRENT = 1.2, 10.0  # within a population; ms


class Regime(NamedTuple):
    """Current from outside (threshold is 1), what a probe adds to it, and how long it is looked at, ms."""

    background: float
    probe: float
    duration: int


SILENT = Regime(background=0.4, probe=0.25, duration=2200)
REVERBERATING = Regime(background=0.5, probe=0.0, duration=4000)


def network() -> tdn.Network:
    """Facilitating excitation within each population, and inhibition, which does not change, of all."""
    W = torch.zeros(CELLS, CELLS)
    W[CUED, CUED] = W[OTHER, OTHER] = WEIGHT / 4
    W[2 * E :, : 2 * E] = 0.3 / 4
    W[:, 2 * E :] = -1.0
    coupling = nn.Linear(CELLS, CELLS, bias=False)
    coupling.weight.data = W / CURRENT  # a spike carries the charge W, spread over the decay of its current
    excites = torch.arange(CELLS) < 2 * E
    # Of U = 1 and a fast recovery, the same equation is a synapse without plasticity.
    U, tau_f, tau_d = (torch.where(excites, a, b) for a, b in ((0.2, 1.0), (1500.0, 1.0), (200.0, 0.05)))
    cells = tdn.LIF(20.0, reset="value", t_ref=2.0, noise=tdn.WhiteNoise(1.26))
    synapses = tdn.Chain(tdn.TsodyksMarkram(U, tau_f, tau_d), tdn.ExponentialSynapse(CURRENT), coupling)
    return tdn.Network(cells, synapses, delay=1.0)


@torch.no_grad()
def run(regime: Regime, trials: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes and utilisation u [T, 2, trials, cells], with a cue (0) and without (1)."""
    torch.manual_seed(0)
    current = torch.full((regime.duration, 2, trials, CELLS), regime.background)
    current[CUE, 0, :, CUED] += 0.6
    current[PROBE, ..., : 2 * E] += regime.probe
    fields = tdn.record(network(), current.flatten(1, 2), ["output", "connection.0.u"])
    return tuple(field.unflatten(1, (2, trials)) for field in fields.values())


def rate(spikes: torch.Tensor, time: slice, condition: int, cells: slice) -> float:
    """Mean rate, Hz."""
    return rates(spikes, time, condition, cells).mean().item()


def rates(spikes: torch.Tensor, time: slice, condition: int, cells: slice) -> torch.Tensor:
    """The rate in each trial, Hz."""
    return 1000 * spikes[time, condition, :, cells].mean((0, 2))


def main(picture: Path = Path("pictures/Mongillo_2008.png"), trials: int = 4) -> dict[str, Any]:
    silent, u = run(SILENT, trials)
    loud, _ = run(REVERBERATING, trials)
    kinds = {"cued": (0, CUED), "not cued": (0, OTHER), "no cue at all": (1, CUED)}
    delay, answer, persistent = (
        {name: rate(spikes, time, *kind) for name, kind in kinds.items()}
        for spikes, time in ((silent, DELAY), (silent, ANSWER), (loud, LATE))
    )
    kept = u[DELAY, 0, :, CUED].mean().item(), u[DELAY, 1, :, CUED].mean().item()
    for title, found in (("silent delay", delay), ("probe", answer), ("reverberation", persistent)):
        print(f"{title:14s}" + ", ".join(f"{name}: {hz:.1f} Hz" for name, hz in found.items()))
    print(f"utilisation u in the delay: {kept[0]:.2f} with a cue, {kept[1]:.2f} without")
    assert abs(delay["cued"] - delay["not cued"]) < 0.3
    assert abs(delay["cued"] - delay["no cue at all"]) < 0.3
    assert answer["cued"] > 2 * max(answer["not cued"], answer["no cue at all"])
    # Two attractors: in every trial the cued population has stayed on, and what was not cued at rest.
    on, *off = (rates(loud, LATE, *kind) for kind in kinds.values())
    assert on.min() > 3.0
    assert max(others.max() for others in off) < 1.5
    assert (LATE.start - CUE.stop) > 1.5 * 1500  # longer than the synapses would keep the cue

    figure, axes = plt.subplots(3, 2, figsize=(12, 7), layout="constrained", height_ratios=(2, 1, 1.3))
    for column, (spikes, title) in enumerate(((silent, "silent delay"), (loud, "reverberation"))):
        top, middle, _ = axes[:, column]
        few = torch.cat([spikes[:, 0, 0, begin : begin + 30] for begin in (0, E)] + [spikes[:, 0, 0, -15:]], 1)
        raster(few, populations={"cued": 30, "not cued": 30, "inhibitory": 15}, ax=top)
        top.set(title=title, xlabel="")
        for cells, color in ((CUED, "tab:red"), (OTHER, "tab:blue")):
            smooth = 1000 * spikes[:, 0, :, cells].mean((1, 2)).unfold(0, 20, 20).mean(-1)
            middle.plot(torch.arange(len(smooth)) * 20 + 10, smooth, color=color)
        middle.set(ylabel="rate (Hz)", xlabel="time (ms)", xlim=(0, len(spikes)))
    for cells, color in ((CUED, "tab:red"), (OTHER, "tab:blue")):
        axes[2, 0].plot(u[:, 0, :, cells].mean((1, 2)), color=color)
    axes[2, 0].set(ylabel="utilisation u", xlabel="time (ms)", xlim=(0, SILENT.duration))
    bars = axes[2, 1]
    for k, found in enumerate((delay, answer, persistent)):
        bars.bar([4 * k + n for n in range(3)], found.values(), color=["tab:red", "tab:blue", "0.6"])
    bars.set(ylabel="rate (Hz)", xticks=[1, 5, 9], xticklabels=["silent delay", "probe", "reverberation"])
    bars.set_title("cued, not cued, and without any cue", fontsize="medium")
    for ax in axes[:, 0]:
        ax.axvspan(CUE.start, CUE.stop, color="0.92", zorder=-1)
        ax.axvspan(PROBE.start, PROBE.stop, color="0.85", zorder=-1)
    for ax in axes[:2, 1]:
        ax.axvspan(CUE.start, CUE.stop, color="0.92", zorder=-1)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {"delay": delay, "answer": answer, "persistent": persistent, "u": kept}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
