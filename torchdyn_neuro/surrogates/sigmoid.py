"""The sigmoid surrogate."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import positive_number
from ..core.surrogate import Surrogate


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    r"""Slope of a logistic function.

    .. math:: \Theta'(x) \approx \alpha\, \sigma(\alpha x) (1 - \sigma(\alpha x))

    Args:
        slope: alpha, steepness, per unit of the potential; 1 / slope is the width of the bump.

    Raises:
        ValueError: if ``slope`` is not positive.

    Source: Neftci, Mostafa & Zenke (2019), IEEE Signal Processing Magazine 36(6):51. The default slope is that of
    SpikingJelly and makes the height one.
    """

    slope: float = 4.0

    def __post_init__(self) -> None:
        positive_number("Sigmoid", "slope", self.slope)

    def derivative(self, x: Tensor) -> Tensor:
        value = torch.sigmoid(self.slope * x)
        return self.slope * value * (1 - value)
