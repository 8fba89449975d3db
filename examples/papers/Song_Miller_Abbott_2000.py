"""Song, Miller & Abbott (2000), Nat. Neurosci. 3:919: competition of synapses by the times of spikes.

A neuron is driven by many independent inputs. Pair STDP with a little more depression than potentiation drives the
synapses apart: from equal strengths most end near none or near the maximum, and the neuron comes to fire at the
irregular rate at which the two balance. Where inputs come in bursts, each with a latency of its own, those that come
first win, and the answer of the neuron moves forward in time. The neuron has 100 excitatory inputs in place of 1000,
each about ten times as strong, of whose spikes the causal part is larger: depression is larger by 10 % in place of 5 %.
Inhibition is its mean, a larger leak, and a step of learning is 4 to 6 times that of the paper, to be done in
seconds.
Run ``python examples/papers/Song_Miller_Abbott_2000.py [PICTURE]``.
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

INPUTS, CELLS = 100, 4  # cells: rows of the batch, each with weights of its own
PERIOD, ONSET, BURST = 120, 50, 20  # ms


def neuron(g_max: float, learning: float) -> tdn.Chain:
    """A cell whose synapses all start at half their maximum ``g_max``, nS; ``learning`` is A+ over the maximum."""
    rule = tdn.PairSTDP(learning * g_max, 1.1 * learning * g_max, 20.0, 20.0, w_min=0.0, w_max=g_max)
    synapses = tdn.Plastic(nn.Linear(INPUTS, 1, bias=False), rule)
    nn.init.constant_(synapses.connection.weight, g_max / 2)
    cell = tdn.ConductanceLIF([tdn.AMPA()], C=200.0, g_L=15.0, E_L=-70.0, v_th=-54.0, v_reset=-60.0)
    return tdn.Chain(synapses, tdn.ExponentialSynapse(5.0), cell)


def compete(steps: int) -> tuple[Tensor, Tensor]:
    """Output spikes [T, cells], and the weights [cells, inputs] after independent Poisson input of 10 Hz."""
    y, state = neuron(2.0, 0.03).scan(torch.bernoulli(torch.full((steps, CELLS, INPUTS), 0.01)))
    return y[..., 0], state[0].weight[:, 0] / 2.0


def bursts(latency: Tensor, trials: int) -> Tensor:
    """Input [T, cells, inputs]: in each period 20 ms of 100 Hz, early or late by the latency of the input."""
    time = torch.arange(PERIOD)[:, None, None] - ONSET - latency
    rate = torch.where((time >= 0) & (time < BURST), 0.1, 0.0)
    return torch.bernoulli(rate.repeat(trials, 1, 1))


def first_spike(spikes: Tensor) -> float:
    """Mean time of the first spike of a period, ms after the mean onset of the bursts."""
    periods = spikes.unflatten(0, (-1, PERIOD))
    answered = periods.sum(1) > 0
    return periods.argmax(1)[answered].float().mean().item() - ONSET


@torch.no_grad()
def main(picture: Path = Path("pictures/Song_Miller_Abbott_2000.png"), seconds: int = 16) -> dict[str, Any]:
    torch.manual_seed(0)
    spikes, weights = compete(1000 * seconds)
    shares = torch.histc(weights, 10, 0, 1) / weights.numel()
    rate = 1000 * spikes[-5000:].mean().item()
    ends, middle = (shares[:2].mean() + shares[-2:].mean()).item() / 2, shares[3:7].mean().item()
    print(
        f"share of synapses per tenth of the range: {ends:.2f} at the ends, {middle:.2f} in the middle; {rate:.0f} Hz"
    )
    assert ends > 2 * middle
    assert min(shares[:2].mean(), shares[-2:].mean()) > middle

    latency = 15 * torch.randn(CELLS, INPUTS)
    y, state = neuron(0.5, 0.02).scan(bursts(latency, 60))
    learned = state[0].weight[:, 0] / 0.5
    before, after = first_spike(y[: 4 * PERIOD, :, 0]), first_spike(y[-20 * PERIOD :, :, 0])
    early, late = learned[latency < -10].mean().item(), learned[latency > 10].mean().item()
    print(f"bursts: the neuron answers after {before:.1f} ms, later after {after:.1f} ms")
    print(f"mean weight of inputs that come early {early:.2f}, late {late:.2f} of the maximum")
    assert after < before - 3
    assert early > 0.8 > 0.2 > late

    figure, (left, middle_, right) = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    left.hist(weights.flatten(), 20, range=(0, 1), color="tab:blue")
    left.axvline(0.5, color="0.5", linestyle=":")
    left.set(xlabel="weight / maximum", ylabel="synapses", title="independent inputs (dotted: start)")
    middle_.plot(latency.flatten(), learned.flatten(), ".", color="tab:blue")
    middle_.set(xlabel="latency of the input (ms)", ylabel="weight / maximum", title="bursts")
    for window, label, color in ((slice(0, 4), "first four", "0.6"), (slice(-20, None), "last twenty", "tab:red")):
        answer = 1000 * y[..., 0].unflatten(0, (-1, PERIOD))[window].mean((0, 2)).unflatten(0, (-1, 4)).mean(1)
        right.plot(torch.arange(0, PERIOD, 4) - ONSET, answer, color=color, label=label)
    right.set(xlabel="time after the mean onset (ms)", ylabel="rate (Hz)", title="answer to bursts")
    right.legend()
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {"shares": shares.tolist(), "rate": rate, "before": before, "after": after, "early": early, "late": late}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
