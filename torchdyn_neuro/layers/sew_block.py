"""The spike-element-wise residual block."""

from torch import Tensor, nn

from ..core.checks import one_of
from ..neurons import LIF
from .in_order import InOrder
from .neurons import Neurons, make_neurons
from .residual import convolution, driven, numbered

CONNECTS = ("add", "and", "iand")


class SEWBlock(nn.Module):
    r"""Residual block whose branch and shortcut are joined as spikes, element by element.

    .. math:: y = g(A(x), x), \qquad A = \mathrm{SN} \circ \mathrm{BN} \circ \mathrm{conv} \circ \mathrm{SN} \circ
        \mathrm{BN} \circ \mathrm{conv}

    g is ``"add"`` :math:`a + x`, ``"and"`` :math:`a\, x`, or ``"iand"`` :math:`(1 - a)\, x`. Where the shape changes,
    the shortcut is a convolution of size 1 with a norm and neurons of its own. With ``"add"`` and ``"iand"`` a silent
    branch is the identity.

    Args:
        in_channels: channels of the input.
        channels: channels of the output.
        stride: of the first convolution and the shortcut.
        neuron: the neurons, copied, or a population; ``LIF()`` if omitted.
        connect: ``"add"``, ``"and"`` or ``"iand"``.
        norm: ``"batch"``, ``"threshold"``, ``"layer"`` or ``"none"``.

    Shape:
        - input: [T, B, in_channels, H, W]
        - output: [T, B, channels, H / stride, W / stride]; with ``"add"`` whole numbers, else spikes

    Raises:
        ValueError: if ``connect`` or ``norm`` is unknown, or a number is not positive.

    Source: Fang, Yu, Chen, Huang, Masquelier & Tian (2021), NeurIPS.

    Example:
        >>> import torch
        >>> SEWBlock(4, 8, stride=2)(torch.zeros(5, 2, 4, 8, 8)).shape
        torch.Size([5, 2, 8, 4, 4])
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        neuron: Neurons | None = None,
        connect: str = "add",
        norm: str = "batch",
    ):
        super().__init__()
        owner = type(self).__name__
        self.connect = one_of(owner, "connect", connect, *CONNECTS)

        def neurons() -> dict[str, nn.Module]:
            return driven(make_neurons(owner, LIF() if neuron is None else neuron, channels, 1, 1))

        first = convolution(owner, in_channels, channels, stride=stride, norm=norm)
        second = convolution(owner, channels, channels, norm=norm)
        self.branch = InOrder({**numbered({**first, **neurons()}, 0), **numbered({**second, **neurons()}, 1)})
        same = stride == 1 and in_channels == channels
        across = {} if same else {**convolution(owner, in_channels, channels, size=1, stride=stride, norm=norm)}
        self.shortcut = InOrder({} if same else {**across, **neurons()})

    def forward(self, x: Tensor) -> Tensor:
        branch, shortcut = self.branch(x), self.shortcut(x)
        if self.connect == "add":
            return branch + shortcut
        return (branch if self.connect == "and" else 1 - branch) * shortcut

    def extra_repr(self) -> str:
        return f"connect={self.connect!r}"
