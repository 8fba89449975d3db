"""Wunderlich & Pehl (2021), Sci. Rep. 11:12829, the task of Fig. 3: the exact gradient of spike times, off any grid.

Points of the Yin-Yang data set (Kriener et al. 2022) are coded by when five input neurons spike: one at 0 ms, the
others later the larger x, y, 1 - x and 1 - y are. A layer of LIF neurons with exponential synaptic currents receives
these spikes; its own spikes reach three leaky integrators, and the one with the highest potential at 60 ms names the
class. The same module is trained twice, from the same start: event by event, with the exact gradient of its spike
times, and on a clock of 0.5 ms, with a surrogate gradient.

The exact gradient knows how a spike moves, not that it could vanish. The layer is made such that this matters little:
with a membrane time constant far above the durations at hand the potential hardly ever just touches the threshold, and
a spike that comes later and later loses its effect on the readout before it is gone.

The figure shows the data set and how the test error falls, as the picture here does; the network is not the same: in
the paper two layers of spiking neurons are trained, with a loss of the times of the first spikes at the output.

Run ``python examples/papers/Wunderlich_2021.py [PICTURE]``; it takes about a minute.
"""

import sys
import time
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import Tensor, nn
from torch.nn import functional

import torchdyn_neuro as tdn
from torchdyn_neuro.data.yin_yang import CLASSES, yin_yang
from torchdyn_neuro.events import spike_times

matplotlib.use("Agg")
from matplotlib import pyplot

NEURONS, MOST_SPIKES = 100, 6
LATEST_INPUT, DURATION, DT = 30.0, 60.0, 0.5  # ms
TAU_MEM_READOUT, TAU_SYN_READOUT = 60.0, 20.0  # ms
WAYS = {"exact spike-time gradient": "by_events", "surrogate gradient": "by_clock"}


class LatencyClassifier(nn.Module):
    """Spike times in, potentials of the readout at the end out; by events or by the clock."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(1 + torch.randn(5, NEURONS))
        self.neuron = tdn.SynapticLIF(tau_mem=400.0, tau_syn=10.0, R=20.0, dt=DT)
        self.readout = nn.Sequential(nn.BatchNorm1d(NEURONS, affine=False), nn.Linear(NEURONS, 3))

    def by_events(self, times: Tensor) -> Tensor:
        """From the times [B, 5] of the inputs, exactly."""
        times, order = times.sort(-1)
        spikes = spike_times(self.neuron, times, self.weight[order], DURATION, most_spikes=MOST_SPIKES)
        present = torch.isfinite(spikes)
        gap = torch.where(present, DURATION - spikes, torch.zeros_like(spikes))
        return self.readout(postsynaptic_potential(gap).sum(-1))  # 0 where there is no spike

    def by_clock(self, times: Tensor) -> Tensor:
        """The same on the grid: each spike counts at the end of its step."""
        steps = round(DURATION / DT)
        step = (times / DT).ceil().long().clamp(min=1) - 1
        x = functional.one_hot(step, steps).float().permute(2, 0, 1)  # [T, B, 5]
        spikes = self.neuron(x @ self.weight)
        gap = DURATION - DT * torch.arange(1, steps + 1)
        return self.readout(torch.einsum("tbn,t->bn", spikes, postsynaptic_potential(gap)))


def postsynaptic_potential(gap: Tensor) -> Tensor:
    """What a spike has made of a leaky integrator with an exponential current, ``gap`` ms later, up to a factor."""
    return torch.exp(-gap / TAU_MEM_READOUT) - torch.exp(-gap / TAU_SYN_READOUT)


def encode(features: Tensor) -> Tensor:
    """The times [B, 5] at which the inputs spike."""
    return LATEST_INPUT * functional.pad(features, (1, 0))


def train(
    way: str, times: Tensor, labels: Tensor, test: tuple[Tensor, Tensor], epochs: int
) -> tuple[LatencyClassifier, list[float]]:
    """Train a fresh model, evaluated ``by_events`` or ``by_clock``; also its test error after every epoch."""
    torch.manual_seed(0)
    model = LatencyClassifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, betas=(0.9, 0.99))
    steps = epochs * len(labels) // 100
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.02, total_steps=steps, pct_start=0.1)
    errors = []
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(len(labels)).split(100):
            loss = functional.cross_entropy(getattr(model, way)(times[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        errors.append(1 - right(model.eval(), way, *test).float().mean().item())
    return model, errors


@torch.no_grad()
def right(model: LatencyClassifier, way: str, times: Tensor, labels: Tensor) -> Tensor:
    """Which answers [B] are right."""
    return getattr(model, way)(times).argmax(-1) == labels


def draw(features: Tensor, labels: Tensor, answers: dict[str, Tensor], errors: dict[str, list], picture: Path):
    """The test set with the answers of either model, and the test errors."""
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 4), layout="constrained")
    x, y = features[:, :2].unbind(1)
    for ax, (name, correct) in zip(axes, answers.items(), strict=False):
        for kind, label in enumerate(CLASSES):
            ax.plot(x[labels == kind], y[labels == kind], ".", color=f"C{kind}", label=label, markersize=4)
        ax.plot(x[~correct], y[~correct], "kx", label="wrong")
        ax.set(title=name, xlabel="x", ylabel="y", aspect="equal")
    axes[0].legend(loc="upper left", fontsize="small")
    for (name, values), style in zip(errors.items(), ("C3-o", "C4-s"), strict=True):
        axes[2].semilogy(range(1, len(values) + 1), [100 * error for error in values], style, label=name)
    axes[2].set(title="learning", xlabel="epoch", ylabel="test error (%)")
    axes[2].set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    axes[2].minorticks_off()
    axes[2].legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


def main(
    picture: Path = Path("pictures/Wunderlich_2021.png"), samples: int = 5000, epochs: int = 12
) -> dict[str, dict[str, Any]]:
    features, labels = yin_yang(samples, seed=1)
    test_features, test_labels = yin_yang(1000, seed=2)
    test = encode(test_features), test_labels
    answers, errors, figures = {}, {}, {}
    for name, way in WAYS.items():
        start = time.perf_counter()
        model, errors[name] = train(way, encode(features), labels, test, epochs)
        took = time.perf_counter() - start
        answers[name] = right(model, way, *test)
        accuracy = [100 * right(model, each, *test).float().mean().item() for each in WAYS.values()]
        figures[name] = {"errors": errors[name], "by_events": accuracy[0] / 100, "by_clock": accuracy[1] / 100}
        print(
            f"{name}: test accuracy {accuracy[0]:.1f} % run by events, {accuracy[1]:.1f} % run on the clock; "
            f"trained in {took:.0f} s"
        )
    draw(test_features, test_labels, answers, errors, picture)
    print(f"picture: {picture}")
    return figures


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
