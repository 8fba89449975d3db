"""The fast-sigmoid surrogate (SuperSpike)."""

from dataclasses import dataclass

from torch import Tensor

from ..core.checks import positive_number
from ..core.surrogate import Surrogate


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    r"""Slope of the fast sigmoid x / (1 + slope |x|), as in SuperSpike.

    .. math:: \Theta'(x) \approx \frac{1}{(1 + \beta |x|)^2}

    Args:
        slope: beta, steepness, per unit of the potential; 1 / slope is the width of the bump.

    Raises:
        ValueError: if ``slope`` is not positive.

    Source: Zenke & Ganguli (2018), SuperSpike, Neural Computation 30:1514; Zenke & Vogels (2021), Neural Computation
    33:899. The default slope is a round value.
    """

    slope: float = 10.0

    def __post_init__(self) -> None:
        positive_number("FastSigmoid", "slope", self.slope)

    def derivative(self, x: Tensor) -> Tensor:
        return 1 / (1 + self.slope * x.abs()) ** 2
