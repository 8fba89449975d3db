"""Short-term plasticity as a temporal filter that a network learns.

Two classes of trains have the same number of spikes in the same window, in bursts or evenly spaced. A static synapse
that sums what it releases cannot tell them apart; a plastic one learns parameters that weigh short intervals
differently. Run ``python examples/papers/stp_temporal_filter.py [PICTURE]``.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from torch import nn

import torchdyn_neuro as tdn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

STEPS, SPIKES, INPUTS, EPOCHS = 120, 6, 4, 60


def trains(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes [STEPS, count, INPUTS], SPIKES per input: three pairs (class 1) or evenly spaced (class 0), jittered."""
    label = torch.randint(2, (count,), generator=generator)
    even = torch.arange(SPIKES) * 20 + 5
    paired = torch.arange(SPIKES) // 2 * 40 + torch.arange(SPIKES) % 2 * 5 + 5
    times = torch.where(label[:, None] == 1, paired, even)[:, None].expand(-1, INPUTS, -1)
    times = times + torch.randint(0, 3, times.shape, generator=generator)
    return nn.functional.one_hot(times, STEPS).sum(-2).permute(2, 0, 1).float(), label


def train(synapse: nn.Module) -> tuple[float, list[float]]:
    """Test accuracy and losses of a network that sums over time what the synapses release."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(synapse, nn.Linear(INPUTS, 2, bias=False))
    bias = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([*model.parameters(), bias], lr=0.1)
    losses = []
    for _ in range(EPOCHS):
        x, label = trains(64, generator)
        loss = nn.functional.cross_entropy(model(x).sum(0) + bias, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    x, label = trains(500, generator)
    with torch.no_grad():
        return ((model(x).sum(0) + bias).argmax(-1) == label).float().mean().item(), losses


def main(picture: Path = Path("pictures/stp_temporal_filter.png")) -> dict[str, Any]:
    def start(value: float) -> tdn.Learned:
        return tdn.Learned(torch.full((INPUTS,), value))

    plastic = tdn.TsodyksMarkram(start(0.3), start(50.0), start(50.0), form="m98")
    accuracy, losses = train(plastic)
    static, static_losses = train(nn.Identity())
    print(f"test accuracy: {accuracy:.3f} with learned plasticity, {static:.3f} with static synapses")
    for name, quantity in plastic.quantities():
        print(f"{name}: {', '.join(f'{value:.3g}' for value in quantity().tolist())} {quantity.unit}")

    figure, (course, response) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    course.plot(losses, label="plastic")
    course.plot(static_losses, label="static")
    course.set(xlabel="step of gradient descent", ylabel="cross-entropy", title="learning", ylim=(0, None))
    intervals = torch.arange(2, 100, 2)
    pair = torch.zeros(101, len(intervals), INPUTS)
    pair[0] = 1
    pair[intervals, torch.arange(len(intervals))] = 1
    with torch.no_grad():
        ratio = plastic(pair)[intervals, torch.arange(len(intervals))] / plastic(pair)[0]
    response.plot(intervals, ratio)
    response.axhline(1, color="black", linestyle=":")
    response.set(xlabel="interval (ms)", ylabel="second release / first", title="paired pulses at the learned synapses")
    course.legend(frameon=False)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    parameters = {name: quantity().tolist() for name, quantity in plastic.quantities()}
    return {"plastic": accuracy, "static": static, "parameters": parameters}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
