"""The membrane-shortcut residual block."""

import math

from torch import Tensor, nn

from ..neurons import LIF
from .in_order import InOrder
from .neurons import Neurons, make_neurons
from .residual import convolution, driven, numbered


class MSBlock(nn.Module):
    r"""Residual block whose branch and shortcut are joined as currents, in front of the next neurons.

    .. math:: y = A(x) + x, \qquad A = \mathrm{BN} \circ \mathrm{conv} \circ \mathrm{SN} \circ
        \mathrm{BN} \circ \mathrm{conv} \circ \mathrm{SN}

    Where the shape changes, the shortcut is a convolution of size 1 with a norm. Weights meet spikes alone but there.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: of the first convolution and the shortcut.
        neuron: the neurons, copied, or a population; ``LIF()`` if omitted.
        norm: ``"batch"``, ``"threshold"`` (scaled by :math:`1/\sqrt{2}` where the branches are added), ``"layer"`` or
            ``"none"``.

    Shape:
        - input: [T, B, in_channels, H, W] currents
        - output: [T, B, channels, H / stride, W / stride] currents

    Raises:
        ValueError: if ``norm`` is unknown, or a number is not positive.

    Source: Hu, Deng, Wu, Yao & Li (2024), IEEE Trans. Neural Netw. Learn. Syst. 36:2353 (MS-ResNet).

    Example:
        >>> import torch
        >>> MSBlock(4, 8, stride=2)(torch.zeros(5, 2, 4, 8, 8)).shape
        torch.Size([5, 2, 8, 4, 4])
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        neuron: Neurons | None = None,
        norm: str = "batch",
    ):
        super().__init__()
        owner = type(self).__name__

        def neurons(width: int) -> dict[str, nn.Module]:
            return driven(make_neurons(owner, LIF() if neuron is None else neuron, width, 1, 1))

        alpha = 1 / math.sqrt(2)
        first = convolution(owner, in_channels, channels, stride=stride, norm=norm)
        second = convolution(owner, channels, channels, norm=norm, alpha=alpha)
        before, between = (numbered(neurons(width), index) for index, width in enumerate((in_channels, channels)))
        self.branch = InOrder({**before, **numbered(first, 0), **between, **numbered(second, 1)})
        same = stride == 1 and in_channels == channels
        across = (
            {} if same else convolution(owner, in_channels, channels, size=1, stride=stride, norm=norm, alpha=alpha)
        )
        self.shortcut = InOrder(across)

    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + self.shortcut(x)
