"""The arctangent surrogate."""

import math
from dataclasses import dataclass

from torch import Tensor

from ..core.checks import positive_number
from ..core.surrogate import Surrogate


@dataclass(frozen=True)
class ATan(Surrogate):
    r"""Slope of a scaled arctangent.

    .. math:: \Theta'(x) \approx \frac{\alpha}{2 (1 + (\pi \alpha x / 2)^2)}

    Args:
        slope: alpha, steepness, per unit of the potential; 1 / slope is the width of the bump.

    Raises:
        ValueError: if ``slope`` is not positive.

    Source: Fang et al. (2021), Incorporating learnable membrane time constant, ICCV.
    """

    slope: float = 2.0

    def __post_init__(self) -> None:
        positive_number("ATan", "slope", self.slope)

    def derivative(self, x: Tensor) -> Tensor:
        return self.slope / 2 / (1 + (math.pi / 2 * self.slope * x) ** 2)
