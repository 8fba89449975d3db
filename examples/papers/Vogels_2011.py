"""Vogels, Sprekeler, Zenke, Clopath & Gerstner (2011), Science 334:1569: inhibition that learns to balance excitation.

A cell receives eight signals, each by excitatory inputs and, through interneurons, by inhibitory ones. The excitatory
weights prefer one signal; the inhibitory ones start equal and weak. Their plasticity makes the cell quiet down to its
target rate, and does so signal by signal: inhibition takes on the tuning of excitation, the two currents come to follow
each other in time, and what is left of the spikes is irregular. One step of learning is larger than in the paper, and
inputs are fewer and stronger, so that it takes seconds.
Run ``python examples/papers/Vogels_2011.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor, nn

import torchdyn_neuro as tdn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SIGNALS, EXCITATORY, INHIBITORY, CELLS = 8, 40, 10, 8  # inputs per signal; cells are rows of the batch
TARGET = 10.0  # Hz
RECEPTORS = [tdn.AMPA(), tdn.GABA_A(E_rev=-80.0)]


def signals(steps: int) -> Tensor:
    """Rates that come and go within 50 ms, [T, cells, signals], per ms."""
    noise = torch.randn(steps, CELLS, SIGNALS)
    slow = tdn.ExponentialSynapse(50.0)(noise) / 5.0  # of variance 1
    return 0.03 * slow.relu() + 0.002


def tuning() -> Tensor:
    """Excitatory weight of each signal, nS: the fifth is preferred."""
    distance = (torch.arange(SIGNALS) - 4).abs().float()
    return 0.2 + 0.6 * torch.exp(-((distance / 1.5) ** 2))


class Cell(nn.Module):
    """Two synapses in front of a membrane, of which the inhibitory one learns."""

    def __init__(self):
        super().__init__()
        self.excitation = nn.Linear(SIGNALS * EXCITATORY, 1, bias=False)
        self.excitation.weight.data = tuning().repeat_interleave(EXCITATORY)[None]
        rule = tdn.InhibitorySTDP(eta=0.05, rho=TARGET, tau=20.0, w_min=0.0)
        self.inhibition = tdn.Plastic(nn.Linear(SIGNALS * INHIBITORY, 1, bias=False), rule)
        nn.init.constant_(self.inhibition.connection.weight, 0.1)
        self.synapses = tdn.ExponentialSynapse(5.0), tdn.ExponentialSynapse(10.0)
        self.membrane = tdn.ConductanceLIF(RECEPTORS, t_ref=5.0)

    def run(self, rates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Spikes [T, cells], both conductances [T, cells, 2], weights of the signals at each second."""
        excited, inhibited = (torch.bernoulli(rates.repeat_interleave(count, 2)) for count in (EXCITATORY, INHIBITORY))
        driven, _ = self.synapses[0].scan(self.excitation(excited))
        learning = self.inhibition.initial_state(inhibited[0])
        gate, membrane = self.synapses[1].initial_state(driven[0]), self.membrane.initial_state((driven[0], driven[0]))
        spikes, conductances, weights = [], [], []
        for t in range(len(rates)):
            released, learning = self.inhibition.step(inhibited[t], learning)
            inhibition, gate = self.synapses[1].step(released, gate)
            y_t, membrane = self.membrane.step((driven[t], inhibition), membrane)
            learning = self.inhibition.learn(inhibited[t], y_t, learning)
            spikes.append(y_t[:, 0])
            conductances.append(torch.cat([driven[t], inhibition], 1))
            if t % 1000 == 999:
                weights.append(learning.weight[:, 0].unflatten(1, (SIGNALS, INHIBITORY)).mean((0, 2)))
        return torch.stack(spikes), torch.stack(conductances), torch.stack(weights)


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's coefficient."""
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()


def irregularity(spikes: Tensor) -> float:
    """Mean coefficient of variation of the intervals of the cells [T, cells]."""
    found = []
    for train in spikes.unbind(1):
        intervals = train.nonzero().flatten().diff().float()
        if len(intervals) > 2:
            found.append((intervals.std() / intervals.mean()).item())
    return sum(found) / len(found)


@torch.no_grad()
def main(picture: Path = Path("pictures/Vogels_2011.png"), seconds: int = 12) -> dict[str, Any]:
    torch.manual_seed(0)
    spikes, conductances, weights = Cell().run(signals(1000 * seconds))
    rates = 1000 * spikes.unflatten(0, (seconds, 1000)).mean((1, 2))
    follows = [correlation(*conductances[window].unbind(2)) for window in (slice(100, 600), slice(-3000, None))]
    tuned = correlation(weights[-1], tuning())
    cv = irregularity(spikes[-5000:])
    print("rate (Hz) second by second:", " ".join(f"{rate:.0f}" for rate in rates))
    print(f"correlation of both conductances: {follows[0]:.2f} at first, {follows[1]:.2f} in the end")
    print(f"correlation of inhibitory and excitatory weights over the signals: {tuned:.2f}; CV of intervals {cv:.2f}")
    assert rates[0] > 3 * TARGET
    assert abs(rates[-5:].mean() - TARGET) < 0.2 * TARGET
    assert tuned > 0.9
    assert follows[1] > follows[0] + 0.1 > 0.6
    assert cv > 0.7

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    left.plot(range(1, seconds + 1), rates, color="black")
    left.axhline(TARGET, color="0.6", linestyle=":")
    left.set(xlabel="time (s)", ylabel="rate (Hz)", title="the cell comes to its target (dotted)")
    place = torch.arange(1, SIGNALS + 1)
    middle.plot(place, tuning() / tuning().max(), "o-", color="tab:red", label="excitation")
    middle.plot(place, weights[0] / weights[-1].max(), "s:", color="tab:blue", alpha=0.5, label="inhibition, 1 s")
    middle.plot(place, weights[-1] / weights[-1].max(), "s-", color="tab:blue", label=f"inhibition, {seconds} s")
    middle.set(xlabel="signal", ylabel="weight / largest", title="tuning")
    middle.legend(fontsize="small")
    last = conductances[-600:, 0]
    right.plot(last[:, 0] / last[:, 0].mean(), color="tab:red", label="excitation")
    right.plot(last[:, 1] / last[:, 1].mean(), color="tab:blue", label="inhibition")
    right.set(xlabel="time (ms)", ylabel="conductance / mean", title="the last 600 ms")
    right.legend(fontsize="small")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {"rates": rates.tolist(), "follows": follows, "tuned": tuned, "cv": cv}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
