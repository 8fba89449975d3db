"""The triangular surrogate."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import positive_number
from ..core.surrogate import Surrogate


@dataclass(frozen=True)
class Triangular(Surrogate):
    r"""A triangle of height 1.

    .. math:: \Theta'(x) \approx \max(0, 1 - |x| / w)

    Args:
        width: w, half of the base, in units of the potential.

    Raises:
        ValueError: if ``width`` is not positive.

    Source: Esser et al. (2016), PNAS 113:11441; Bellec et al. (2018), NeurIPS.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        positive_number("Triangular", "width", self.width)

    def derivative(self, x: Tensor) -> Tensor:
        return torch.clamp(1 - x.abs() / self.width, min=0)

    @property
    def support(self) -> float:
        return self.width
