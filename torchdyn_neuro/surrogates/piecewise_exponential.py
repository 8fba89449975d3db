"""The piecewise-exponential surrogate."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import positive_number
from ..core.surrogate import Surrogate


@dataclass(frozen=True)
class PiecewiseExponential(Surrogate):
    r"""A two-sided exponential.

    .. math:: \Theta'(x) \approx \frac{\alpha}{2} e^{-\alpha |x|}

    Args:
        slope: alpha, steepness, per unit of the potential; 1 / slope is the width of the bump.

    Raises:
        ValueError: if ``slope`` is not positive.

    Source: Shrestha & Orchard (2018), SLAYER, NeurIPS. The default slope is a round value.
    """

    slope: float = 2.0

    def __post_init__(self) -> None:
        positive_number("PiecewiseExponential", "slope", self.slope)

    def derivative(self, x: Tensor) -> Tensor:
        return self.slope / 2 * torch.exp(-self.slope * x.abs())
