"""The size of the gradient that arrives at the first of eight layers, over the slope of the surrogate."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import nn

import torchdyn_neuro as tdn

SLOPES = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]


def gradient(surrogate: tdn.Surrogate) -> float:
    """Root mean square of the gradient of the first weights, by that of the last."""
    torch.manual_seed(0)
    layers = [part for _ in range(8) for part in (nn.Linear(64, 64), tdn.LIF(10.0, surrogate=surrogate))]
    net, x = nn.Sequential(*layers), (torch.rand(40, 8, 64) < 0.05).float()
    tdn.calibrate(net, x, rate=50.0)
    net(x).mean(0).square().sum().backward()
    first, last = (net[index].weight.grad.square().mean().sqrt().item() for index in (0, 14))
    return first / last


def draw() -> Figure:
    figure, axis = plt.subplots(figsize=(6.4, 3.0))
    for kind in (tdn.ATan, tdn.FastSigmoid, tdn.Triangular):
        sizes = [
            gradient(kind(slope=slope) if kind is not tdn.Triangular else kind(width=1 / slope)) for slope in SLOPES
        ]
        axis.loglog(SLOPES, sizes, "o-", markersize=4, label=kind.__name__)
    axis.axhline(1.0, color="tab:gray", linewidth=0.6)
    axis.set(xlabel="slope, or 1 / width", ylabel="gradient at the first\nby that at the last layer")
    axis.legend(frameon=False)
    return figure
