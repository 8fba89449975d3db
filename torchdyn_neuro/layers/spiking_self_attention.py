"""Spiking self-attention, SSA."""

from torch import Tensor, nn

from ..activity import CurrentScale
from ..core.checks import positive_number, whole_number
from ..neurons import LIF
from .neurons import Neurons, make_neurons
from .token_layer import TokenLayer


class SpikingSelfAttention(nn.Module):
    r"""Attention whose queries, keys and values are spikes, without a softmax.

    .. math:: Q, K, V = \mathrm{SN}(\mathrm{BN}(W_{Q,K,V}\, x)), \qquad
        y = \mathrm{SN}(\mathrm{BN}(W\, \mathrm{SN}(s\, Q K^T V)))

    The product of three spike trains counts coincidences: whole numbers, none of them negative, so it needs no softmax,
    and the cheaper of its two orders is taken. Tokens attend to each other within a step, not across time.

    Args:
        features: features D of a token.
        heads: number of heads, which divides ``features``.
        neuron: the neurons, copied, or a population; ``LIF()`` if omitted.
        scale: s, what a coincidence counts at the start; :func:`calibrate` moves it.
        norm: ``"batch"``, ``"threshold"``, ``"layer"`` or ``"none"``.

    Shape:
        - input: [T, B, features, tokens]
        - output: the same, spikes

    Raises:
        ValueError: if ``heads`` does not divide ``features``, or ``scale`` is not positive.

    Source: Zhou et al. (2023), Spikformer, ICLR.

    Example:
        >>> import torch
        >>> SpikingSelfAttention(16, 4)(torch.zeros(5, 2, 16, 9)).shape
        torch.Size([5, 2, 16, 9])
    """

    def __init__(
        self,
        features: int,
        heads: int = 4,
        *,
        neuron: Neurons | None = None,
        scale: float = 0.125,
        norm: str = "batch",
    ):
        super().__init__()
        owner = type(self).__name__
        self.heads = whole_number(owner, "heads", heads, 1)
        if features % heads:
            raise ValueError(
                f"{owner}: expected heads to divide the {features} features, got {heads}; choose another number"
            )
        neuron = LIF() if neuron is None else neuron
        self.query, self.key, self.value, self.project = (
            TokenLayer(features, features, neuron, norm=norm) for _ in range(4)
        )
        self.current = CurrentScale(positive_number(owner, "scale", scale))
        self.neuron = make_neurons(owner, neuron, features, 1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (layer(x).unflatten(2, (self.heads, -1)) for layer in (self.query, self.key, self.value))
        if query.shape[-1] <= query.shape[-2]:
            attended = value @ (key.transpose(-1, -2) @ query)
        else:
            attended = (value @ key.transpose(-1, -2)) @ query
        return self.project(self.neuron(self.current(attended.flatten(2, 3))))

    def extra_repr(self) -> str:
        return f"heads={self.heads}"
