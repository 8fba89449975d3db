"""How often the weights of a layer are used by what comes in."""

import torch
from torch import Tensor, nn

from ..connections import DaleLinear, DelayedLinear, FixedRandom, OneToOne, PlasticLinear
from ..core.plastic import Plastic
from ..core.torch_private import ConvNd

DENSE = (nn.Linear, DaleLinear, DelayedLinear, FixedRandom, PlasticLinear)
"""Layers with a weight [post, pre] for the last axis of their input."""
_KINDS = {
    kind.__name__: kind
    for kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
}


class WeightUses:
    """Counts, frame by frame, how many weights what comes in meets.

    Args:
        layer: a layer that :func:`countable` takes.

    Example:
        >>> uses = WeightUses(nn.Linear(3, 5))
        >>> uses(torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0]])).tolist()
        [15.0, 0.0]
    """

    def __init__(self, layer: nn.Module):
        layer = layer.connection if isinstance(layer, Plastic) else layer
        there = (layer.weight.detach() != 0).float()
        self.image_axes: int | None = None
        if isinstance(layer, ConvNd):
            self.image_axes = len(layer.kernel_size)
            self.convolution = _plain(layer, there)
        elif isinstance(layer, OneToOne):
            self.fan_out = there
        else:
            self.fan_out = there.sum(0)

    def __call__(self, x: Tensor) -> Tensor:
        """The weights that each of N frames [N, \\*] meets, where an input of 2 meets each weight twice."""
        if self.image_axes is not None:
            return self.convolution(x.float()).flatten(1).sum(1, dtype=torch.float64)
        return (x * self.fan_out).flatten(1).sum(1, dtype=torch.float64)


def countable(layer: nn.Module) -> bool:
    """Whether the weights of a layer are known by number."""
    inner = layer.connection if isinstance(layer, Plastic) else layer
    return isinstance(inner, (*DENSE, OneToOne)) or any(isinstance(inner, kind) for kind in _KINDS.values())


def _plain(layer: nn.Module, weight: Tensor) -> nn.Module:
    """A convolution of the same shape, with other weights and no bias."""
    kind = next(kind for kind in _KINDS.values() if isinstance(layer, kind))
    names = ["in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"]
    names += ["output_padding"] if layer.transposed else []
    plain = kind(**{name: getattr(layer, name) for name in names}, bias=False, device="meta")
    plain.weight = nn.Parameter(weight, requires_grad=False)
    return plain
