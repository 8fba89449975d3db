"""Sparse connections."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

Layer = TypeVar("Layer", bound=nn.Module)


class SparseMask(nn.Module):
    r"""Keeps a fixed set of weights and holds all others at zero.

    .. math:: W_{ij} = M_{ij} V_{ij}, \qquad M_{ij} \in \{0, 1\}

    Args:
        mask: true where there is a connection, in the shape of the weight.

    Shape:
        - input: weights
        - output: weights of the same shape
    """

    def __init__(self, mask: Tensor):
        super().__init__()
        self.register_buffer("mask", mask.bool())

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask.to(weight.dtype)

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight


def sparse(layer: Layer, density: float | Tensor, *, generator: torch.Generator | None = None) -> Layer:
    """Thin out the connections of a layer, in place: each output keeps the same number of random inputs.

    This is for Dale's principle, convolutions and rules that read a whole matrix; a :class:`SparseLinear` holds the
    synapses there are alone.

    What is left is scaled by ``density**-0.5``, so that the variance of the sum over the inputs stays what it was. The
    product stays dense, which is the fastest above a density of a few per cent; below it, sparse spikes save more than
    sparse weights.

    Args:
        layer: an ``nn.Linear`` or another layer whose ``weight`` is [post, pre, *].
        density: share of the inputs that each output keeps, or a mask in the shape of the weight.
        generator: source of the random choice.

    Returns:
        The layer.

    Raises:
        ValueError: if the density is not above 0 and at most 1, or the mask has another shape than the weight.

    Source: Brunel (2000), J. Comput. Neurosci. 8:183 (fixed in-degree).

    Example:
        >>> layer = sparse(nn.Linear(10, 4), density=0.3)
        >>> (layer.weight != 0).sum(1)
        tensor([3, 3, 3, 3])
    """
    weight = layer.weight
    if isinstance(density, Tensor):
        mask = density.bool().to(weight.device)
        if mask.shape != weight.shape:
            raise ValueError(
                f"sparse: expected a mask of the weight's shape {tuple(weight.shape)}, got {tuple(mask.shape)}; "
                "pass one entry per weight"
            )
    elif 0 < density <= 1:
        order = torch.rand(weight.flatten(1).shape, generator=generator).argsort(1)
        kept = max(1, round(density * order.shape[1]))
        mask = torch.zeros_like(order, dtype=torch.bool).scatter(1, order[:, :kept], True)
        mask = mask.reshape(weight.shape).to(weight.device)
    else:
        raise ValueError(f"sparse: expected a density above 0 and at most 1, got {density}; pass e.g. 0.1")
    share = mask.float().mean().item()
    with torch.no_grad():
        weight.mul_(max(share, 1 / mask.numel()) ** -0.5)
    parametrize.register_parametrization(layer, "weight", SparseMask(mask))
    return layer
