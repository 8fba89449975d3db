"""Weights as whole numbers of eight bits or fewer."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..core.checks import whole_number
from .layers import weighted_layers


class QuantizedWeight(nn.Module):
    r"""A weight that is kept as whole numbers, with one scale for each output.

    .. math:: w_{oi} \approx s_o\, q_{oi}, \qquad s_o = \max_i |w_{oi}| / (2^{b - 1} - 1), \qquad
        q_{oi} = \mathrm{round}(w_{oi} / s_o)

    so that no weight moves by more than half a scale, and 0 stays 0; in 16 bits the product is rounded besides. An
    output is an entry of the first axis of the weight; of a transposed convolution that is an input.

    Args:
        bits: of one weight, from 2 to 8, kept in a byte each.

    Source: Jacob et al. (2018), CVPR, "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference" (there per layer; per output: Krishnamoorthi 2018, arXiv:1806.08342).
    """

    owner = "quantize"

    def __init__(self, bits: int = 8):
        super().__init__()
        self.bits = whole_number("quantize", "bits", bits, 2)
        if bits > 8:
            raise ValueError(f"quantize: expected bits from 2 to 8, got {bits}; a byte has room for 8")

    def forward(self, numbers: Tensor, scale: Tensor) -> Tensor:
        return numbers.to(scale.dtype) * scale

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The whole numbers, int8, and the scale of each output."""
        most = 2 ** (self.bits - 1) - 1
        # Narrow types have no room for a quotient of 8 bits and its rounding.
        wide = weight.detach().to(torch.promote_types(weight.dtype, torch.float32))
        largest = wide.abs().flatten(1).amax(1).view(-1, *[1] * (weight.ndim - 1))
        scale = torch.where(largest > 0, largest / most, 1.0).to(weight.dtype)
        steps = torch.where(scale > 0, wide / scale, 0.0)
        return steps.round().clamp(-most, most).to(torch.int8), scale

    def extra_repr(self) -> str:
        return f"bits={self.bits}"


def quantize(model: nn.Module, bits: int = 8) -> nn.Module:
    """Keep the weights of a trained model, in place, as whole numbers: a quarter of the memory and of the file.

    Those of all linear, convolutional, delayed and event-driven layers, also inside recurrent ones and networks;
    biases, norms, time constants and thresholds stay as they are, and weights that are no matrix called ``weight``, as
    in ``DaleLinear``, ``SparseLinear`` and ``nn.LSTM``: :func:`bits_of` tells. Products are in the type of the model:
    what is saved is memory, not time. The model is for inference: its weights no longer learn.

    Args:
        model: a trained model.
        bits: of one weight, from 2 to 8; see :class:`QuantizedWeight`.

    Returns:
        The model.

    Raises:
        ValueError: if there are no weights, or one follows from another, is quantized already or is not finite.

    Example:
        >>> layer = quantize(nn.Linear(4, 2), bits=8)
        >>> layer.parametrizations.weight.original0.dtype
        torch.int8
    """
    with torch.no_grad():
        for layer in weighted_layers("quantize", model).values():
            layer.weight.requires_grad_(False)
            # "unsafe": the numbers are of another type than the weight that they stand for.
            parametrize.register_parametrization(layer, "weight", QuantizedWeight(bits), unsafe=True)
    return model


def bits_of(model: nn.Module) -> dict[str, int]:
    """How many bits the weights of each quantized layer have, by the layer's name; empty if none is quantized."""
    return {
        name: module.parametrizations["weight"][0].bits
        for name, module in model.named_modules()
        if parametrize.is_parametrized(module, "weight")
        and isinstance(module.parametrizations["weight"][0], QuantizedWeight)
    }
