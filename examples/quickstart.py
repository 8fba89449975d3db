"""Recover the membrane time constants of 48 neurons from their spike trains, by gradient descent through the spikes.

Run ``python examples/quickstart.py [PICTURE]``: it draws the picture of the README.
"""

import sys
from pathlib import Path

import matplotlib
import torch

import torchdyn_neuro as tdn

matplotlib.use("Agg")
import matplotlib.pyplot as plt

NEURONS, STEPS = 48, 300


def main(picture: Path = Path("pictures/quickstart.png")) -> dict[str, float | torch.Tensor]:
    torch.manual_seed(0)
    current = tdn.ExponentialSynapse(tau=10.0)(0.15 * torch.randn(STEPS, 16, NEURONS)) + 1.3
    true_tau = torch.linspace(5, 40, NEURONS)
    with torch.no_grad():
        target = tdn.LIF(tau_mem=true_tau)(current)

    lif = tdn.LIF(tau_mem=tdn.Learned(torch.full((NEURONS,), 15.0)), surrogate=tdn.FastSigmoid(slope=5.0))
    blur = tdn.ExponentialSynapse(tau=20.0)
    optimizer = torch.optim.Adam(lif.parameters(), lr=0.05)
    start, path = lif(current).detach(), [lif.tau_mem().detach().clone()]
    for _ in range(120):
        loss = (blur(lif(current)) - blur(target)).square().mean()  # van Rossum distance of the spike trains
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        path.append(lif.tau_mem().detach().clone())

    error = ((path[-1] - true_tau) / true_tau).abs().median().item()
    print(f"median error of the time constants: {100 * error:.1f} %")
    draw(picture, current, target, start, lif(current).detach(), torch.stack(path), true_tau)
    print(f"picture: {picture}")
    return {"error": error, "tau": path[-1]}


def draw(picture, current, target, start, fitted, path, true_tau) -> None:
    """Traces of one neuron, rasters of all, and the time constants on their way."""
    figure, (raster, course) = plt.subplots(1, 2, figsize=(11, 3.6), width_ratios=(3, 2), layout="constrained")
    neuron = torch.arange(true_tau.numel())
    for name, spikes, offset, color in (
        ("target", target, 0.0, "black"),
        ("before training", start, 0.32, "tab:orange"),
        ("after training", fitted, 0.64, "tab:blue"),
    ):
        time, unit = spikes[:, 0, ::4].nonzero(as_tuple=True)
        raster.scatter(time, neuron[::4][unit] / 4 + offset, s=12, marker="|", color=color, label=name)
    raster.set(xlabel="time (ms)", ylabel="neuron", title="spikes of every fourth neuron", yticks=[])
    raster.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncol=3, frameon=False, markerscale=1.5)
    colors = plt.get_cmap("viridis")(((true_tau - 5) / 35).numpy())
    for k in neuron[::2]:
        course.plot(path[:, k], color=colors[k], linewidth=1)
        course.plot(len(path) + 2, true_tau[k], marker="<", color=colors[k], markersize=4)
    course.set(
        xlabel="step of gradient descent", ylabel="membrane time constant (ms)", title="learned, and true (marks)"
    )
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
