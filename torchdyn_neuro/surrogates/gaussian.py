"""The Gaussian surrogate."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import positive_number
from ..core.surrogate import Surrogate


@dataclass(frozen=True)
class Gaussian(Surrogate):
    r"""The density of a normal distribution.

    .. math:: \Theta'(x) \approx \frac{1}{\sqrt{2 \pi}\, w} e^{-x^2 / (2 w^2)}

    Args:
        width: w, standard deviation, in units of the potential.

    Raises:
        ValueError: if ``width`` is not positive.

    Source: Yin, Corradi & Bohte (2021), Nature Machine Intelligence 3:905.
    """

    width: float = 0.5

    def __post_init__(self) -> None:
        positive_number("Gaussian", "width", self.width)

    def derivative(self, x: Tensor) -> Tensor:
        return torch.exp(-((x / self.width) ** 2) / 2) / (math.sqrt(2 * math.pi) * self.width)
