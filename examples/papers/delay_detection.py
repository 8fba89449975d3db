"""A task that only learned delays solve: in which order did the inputs fire?

Both classes have the same spikes per input and the same distances between them, one way round or the other. The energy
of a membrane, the sum of v(t)^2, depends on the distances alone: with weights only, no neuron can tell the classes
apart. With delays it can, where they line the spikes up. The delays are Gaussian kernels that narrow while they learn.

Run ``python examples/papers/delay_detection.py [PICTURE]``.
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

INPUTS, LAG, STEPS, MAX_DELAY, EPOCHS = 4, 6, 50, 24.0, 120


def patterns(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes [STEPS, count, INPUTS] that run up or down over the inputs, jittered by a step, and which of the two."""
    label = torch.randint(2, (count,), generator=generator)
    order = torch.arange(INPUTS).expand(count, -1)
    order = torch.where(label[:, None] == 0, order, INPUTS - 1 - order)
    jitter = torch.randint(-1, 2, (count, INPUTS), generator=generator)
    start = torch.randint(2, 8, (count, 1), generator=generator)
    return nn.functional.one_hot(start + LAG * order + jitter, STEPS).permute(2, 0, 1).float(), label


def train(connection: nn.Module, seed: int = 0) -> float:
    """Test accuracy of the connection in front of two fast membranes."""
    generator = torch.Generator().manual_seed(seed)
    nn.init.ones_(connection.weight)
    model = nn.Sequential(connection, tdn.LeakyIntegrator(tau_mem=2.0))
    delays = [p for name, p in model.named_parameters() if "delay" in name]
    others = [p for name, p in model.named_parameters() if "delay" not in name]
    groups = [{"params": others, "lr": 0.03}] + ([{"params": delays, "lr": 0.1}] if delays else [])
    optimizer = torch.optim.Adam(groups)
    for epoch in range(EPOCHS):
        if delays:
            connection.anneal(epoch / (0.8 * EPOCHS))
        x, label = patterns(64, generator)
        loss = nn.functional.cross_entropy(model(x).square().sum(0), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, label = patterns(500, generator)
    with torch.no_grad():
        return (model(x).square().sum(0).argmax(-1) == label).float().mean().item()


def main(picture: Path = Path("pictures/delay_detection.png")) -> dict[str, Any]:
    torch.manual_seed(0)
    start = tdn.Learned(torch.rand(2, INPUTS) * 6 + 9)
    learned = tdn.DelayedLinear(INPUTS, 2, start, max_delay=MAX_DELAY, kernel="gaussian", width=6.0)
    before = learned.delay().detach().clone()
    accuracy, without = train(learned), train(tdn.DelayedLinear(INPUTS, 2, 0.0))
    print(f"test accuracy: {accuracy:.3f} with learned delays, {without:.3f} with weights alone")

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    x, label = patterns(8, torch.Generator().manual_seed(1))
    for kind in (0, 1):
        time, neuron = x[:, label == kind][:, 0].nonzero(as_tuple=True)
        axes[0].scatter(time, neuron + 0.1 * kind, marker="|", s=200, color=f"C{kind}", label=f"class {kind}")
        after = learned.delay().detach()[kind]
        axes[1 + kind].plot(before[kind], range(INPUTS), "o:", color="gray", label="before")
        axes[1 + kind].plot(after, range(INPUTS), "o-", color=f"C{kind}", label="learned")
        axes[1 + kind].set(xlabel="delay (ms)", ylabel="input", title=f"neuron of class {kind}", xlim=(0, MAX_DELAY))
    axes[0].set(xlabel="time (ms)", ylabel="input", title="one pattern of each class")
    for axis in axes:
        axis.set_yticks(range(INPUTS))
        axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncol=2, markerscale=0.7)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")
    return {"learned": accuracy, "weights": without, "delays": learned.delay().tolist()}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
