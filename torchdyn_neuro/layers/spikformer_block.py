"""A block of a spiking transformer."""

from torch import Tensor, nn

from ..core.checks import whole_number
from ..neurons import LIF
from .in_order import InOrder
from .neurons import Neurons
from .spiking_self_attention import SpikingSelfAttention
from .token_layer import TokenLayer


class SpikformerBlock(nn.Module):
    r"""Spiking self-attention and two layers for each token, each with a shortcut.

    .. math:: z = x + \mathrm{SSA}(x), \qquad y = z + \mathrm{MLP}(z)

    Args:
        features: features of a token.
        heads: number of heads, which divides ``features``.
        neuron: the neurons, copied, or a population; ``LIF()`` if omitted.
        expansion: how many times wider the hidden layer of the MLP is.
        norm: ``"batch"``, ``"threshold"``, ``"layer"`` or ``"none"``.

    Shape:
        - input: [T, B, features, tokens]
        - output: the same, whole numbers for spikes

    Raises:
        ValueError: if ``heads`` does not divide ``features``.

    Source: Zhou et al. (2023), Spikformer, ICLR.

    Example:
        >>> import torch
        >>> SpikformerBlock(16)(torch.zeros(5, 2, 16, 9)).shape
        torch.Size([5, 2, 16, 9])
    """

    def __init__(
        self,
        features: int,
        heads: int = 4,
        *,
        neuron: Neurons | None = None,
        expansion: int = 4,
        norm: str = "batch",
    ):
        super().__init__()
        hidden, neuron = (
            features * whole_number(type(self).__name__, "expansion", expansion, 1),
            LIF() if neuron is None else neuron,
        )
        self.attention = SpikingSelfAttention(features, heads, neuron=neuron, norm=norm)
        widen, narrow = TokenLayer(features, hidden, neuron, norm=norm), TokenLayer(hidden, features, neuron, norm=norm)
        self.mlp = InOrder({"widen": widen, "narrow": narrow})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x)
        return x + self.mlp(x)
