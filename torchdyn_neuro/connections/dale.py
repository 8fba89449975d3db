"""Dale's principle: a neuron excites all its targets or inhibits all of them."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..core.tensors import readable

Layer = TypeVar("Layer", bound=nn.Module)


class DaleSigns(nn.Module):
    r"""Gives the weights of each presynaptic neuron one sign.

    .. math:: W_{ij} = \sigma_j |V_{ij}|, \qquad \sigma_j \in \{-1, 1\}

    The gradient with respect to ``V`` is that of ``W`` up to its sign: learning rates keep their meaning, and a weight
    that is driven to zero turns round there and can grow again, which a clamped one cannot.

    Args:
        signs: 1 or -1 for each presynaptic neuron.

    Shape:
        - input: [post, pre, \*] unconstrained weights
        - output: weights of the same shape

    Source: Song, Yang & Wang (2016), PLoS Comput. Biol. 12:e1004792 (signed rectified weights).
    """

    def __init__(self, signs: Tensor):
        super().__init__()
        self.register_buffer("signs", signs)

    def forward(self, raw: Tensor) -> Tensor:
        return raw.abs() * self.signs.to(raw.dtype).reshape(1, -1, *[1] * (raw.ndim - 2))

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight.abs()


def dale(layer: Layer, excitatory: float | Tensor = 0.8) -> Layer:
    """Constrain the weights of a layer, in place, so that each input excites everywhere or inhibits everywhere.

    Inhibition is made stronger than excitation by the ratio of the numbers of the two kinds of inputs, so that they
    balance on average; both are scaled so that the mean square of the weights stays what it was.

    Args:
        layer: an ``nn.Linear``, a convolution, or another layer whose ``weight`` is [post, pre, *].
        excitatory: share of the inputs that excite (the first ones), or one sign, 1 or -1, per input.

    Returns:
        The layer.

    Raises:
        ValueError: if the share is not between 0 and 1, a sign is neither 1 nor -1, or their number is not that of the
            inputs.

    Example:
        >>> layer = dale(nn.Linear(4, 3), excitatory=0.75)
        >>> layer.weight.sign()[0].tolist()
        [1.0, 1.0, 1.0, -1.0]
    """
    inputs = layer.weight.shape[1]
    if isinstance(excitatory, Tensor):
        signs = excitatory.to(layer.weight.device)
    elif 0 <= excitatory <= 1:
        signs = torch.ones(inputs, device=layer.weight.device)
        signs[round(excitatory * inputs) :] = -1
    else:
        raise ValueError(f"dale: expected a share of excitatory inputs from 0 to 1, got {excitatory}; pass e.g. 0.8")
    if signs.shape != (inputs,) or not (signs.abs() == 1).all():
        raise ValueError(
            f"dale: expected {inputs} signs, each 1 or -1, got shape {tuple(signs.shape)}; pass one per input"
        )
    parametrize.register_parametrization(layer, "weight", DaleSigns(signs))
    balance_(layer.parametrizations.weight.original, signs)
    return layer


@torch.no_grad()
def balance_(raw: Tensor, signs: Tensor) -> None:
    """Make inhibition stronger by the ratio of the numbers of inputs, in place; the mean square stays as it was.

    Args:
        raw: weights without their signs, [post, pre, *].
        signs: 1 or -1 for each input.
    """
    if not readable(signs):
        return
    exciting, inhibiting = (signs > 0).sum().item(), (signs < 0).sum().item()
    if exciting and inhibiting:
        ratio = exciting / inhibiting
        raw[:, signs < 0] *= ratio
        raw *= (len(signs) / (exciting + inhibiting * ratio**2)) ** 0.5
