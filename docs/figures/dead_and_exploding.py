"""A network of six layers as torch initialises it, with weights ten times as large, and calibrated."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import nn

import torchdyn_neuro as tdn

LAYERS = 6


def network(x: torch.Tensor, scale: float, calibrated: bool) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(*(part for _ in range(LAYERS) for part in (nn.Linear(100, 100), tdn.LIF(10.0))))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(scale)
    if calibrated:
        tdn.calibrate(net, x, rate=20.0)
    return net


def draw() -> Figure:
    x = (torch.rand(100, 8, 100, generator=torch.Generator().manual_seed(1)) < 0.02).float()
    figure, (rates, gradients) = plt.subplots(1, 2, figsize=(6.4, 3.0))
    depth = range(1, LAYERS + 1)
    for name, scale, calibrated in (
        ("as initialised", 1, False),
        ("ten times as large", 10, False),
        ("calibrated", 1, True),
    ):
        net = network(x, scale, calibrated)
        rates.plot(depth, [layer.rate for layer in tdn.activity_report(net, x)], "o-", markersize=4, label=name)
        net(x).mean(0).sum().backward()
        sizes = [net[2 * layer].weight.grad.square().mean().sqrt().item() for layer in range(LAYERS)]
        gradients.semilogy(depth, [max(size, 1e-12) for size in sizes], "o-", markersize=4, label=name)
    rates.set(xlabel="layer", ylabel="rate (Hz)", yscale="symlog", title="activity")
    gradients.set(xlabel="layer", ylabel="gradient of the weights", title="what arrives in the backward pass")
    rates.legend(frameon=False, fontsize=7)
    return figure
