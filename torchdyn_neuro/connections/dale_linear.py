"""The linear connection under Dale's principle."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.checks import whole_number
from ..core.inputs import check_tensor
from .dale import DaleSigns, balance_


class DaleLinear(nn.Module):
    r"""A linear layer in which the first inputs excite all outputs and the others inhibit all of them.

    .. math:: y_i = \sum_j \sigma_j |V_{ij}|\, x_j, \qquad \sigma_j \in \{-1, 1\}

    The signs are part of how the weights follow from the parameter ``V``, so that no optimiser, weight decay or noise
    on the parameters can break them. It is what :func:`dale` makes of an ``nn.Linear``, as a layer of its own, which
    can be pickled.

    Args:
        excitatory: number of inputs that excite.
        inhibitory: number of inputs that inhibit.
        out_features: number of outputs; as many as inputs if omitted.

    Shape:
        - input: [..., excitatory + inhibitory]
        - output: [..., out_features]

    Raises:
        ValueError: if a number is negative or there is no input; from ``forward`` for another number of inputs.
        TypeError: if a number is none; from ``forward`` for what is no tensor.

    Source: Song, Yang & Wang (2016), PLoS Comput. Biol. 12:e1004792.

    Example:
        >>> layer = DaleLinear(3, 1, 2)
        >>> layer.weight.sign()[0].tolist()
        [1.0, 1.0, 1.0, -1.0]
    """

    plain_linear: ClassVar[bool] = True
    """Whether the layer is x W^T + b and nothing else, so that it fuses."""

    bias: ClassVar[None] = None

    def __init__(self, excitatory: int, inhibitory: int, out_features: int | None = None):
        super().__init__()
        self.excitatory = whole_number("DaleLinear", "excitatory", excitatory, 0)
        self.inhibitory = whole_number("DaleLinear", "inhibitory", inhibitory, 0)
        self.in_features = whole_number("DaleLinear", "excitatory + inhibitory", excitatory + inhibitory, 1)
        out_features = self.in_features if out_features is None else out_features
        self.out_features = whole_number("DaleLinear", "out_features", out_features, 1)
        self.signs = DaleSigns(torch.cat([torch.ones(excitatory), -torch.ones(inhibitory)]))
        self.raw = nn.Parameter(torch.empty(self.out_features, self.in_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights of the size of those of ``nn.Linear``, inhibition so much stronger that the two balance."""
        with torch.no_grad():
            self.signs.signs[: self.excitatory] = 1
            self.signs.signs[self.excitatory :] = -1
        nn.init.kaiming_uniform_(self.raw, a=math.sqrt(5))
        balance_(self.raw, self.signs.signs)

    @property
    def weight(self) -> Tensor:
        """The weights, [out_features, in_features], float32 or wider."""
        return self.signs(self.raw.to(torch.promote_types(self.raw.dtype, torch.float32)))

    def check_input(self, x: Tensor) -> None:
        """Raise if ``x`` is no tensor of these inputs."""
        check_tensor("DaleLinear", x, f"a tensor [..., {self.in_features}]")
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(
                f"DaleLinear: expected an input [..., {self.in_features}], got shape {tuple(x.shape)}; build it for "
                "that number of inputs"
            )

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        weight = self.weight
        return functional.linear(x.to(weight.dtype), weight).to(x.dtype)

    def extra_repr(self) -> str:
        return f"excitatory={self.excitatory}, inhibitory={self.inhibitory}, out_features={self.out_features}"
