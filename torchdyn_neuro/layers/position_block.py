"""The place of tokens, from a convolution."""

from torch import Tensor, nn

from ..neurons import LIF
from .in_order import InOrder
from .neurons import Neurons, make_neurons
from .residual import convolution, driven


class PositionBlock(nn.Module):
    r"""Adds to each pixel what a convolution sees around it, so that tokens know where they are.

    .. math:: y = x + \mathrm{SN}(\mathrm{BN}(\mathrm{conv}(x)))

    Args:
        channels: channels of the image.
        neuron: the neurons, copied, or a population; ``LIF()`` if omitted.
        norm: ``"batch"``, ``"threshold"``, ``"layer"`` or ``"none"``.

    Shape:
        - input: [T, B, channels, H, W]
        - output: the same

    Source: Zhou et al. (2023), Spikformer, ICLR (relative position embedding).

    Example:
        >>> import torch
        >>> PositionBlock(4)(torch.zeros(5, 2, 4, 8, 8)).shape
        torch.Size([5, 2, 4, 8, 8])
    """

    def __init__(self, channels: int, *, neuron: Neurons | None = None, norm: str = "batch"):
        super().__init__()
        owner = type(self).__name__
        neurons = driven(make_neurons(owner, LIF() if neuron is None else neuron, channels, 1, 1))
        self.branch = InOrder({**convolution(owner, channels, channels, norm=norm), **neurons})

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)
