"""The rectangular surrogate."""

from dataclasses import dataclass

from torch import Tensor

from ..core.checks import positive_number
from ..core.surrogate import Surrogate


@dataclass(frozen=True)
class Rectangular(Surrogate):
    r"""A box of area 1.

    .. math:: \Theta'(x) \approx \frac{1}{w}\, [\,|x| < w / 2\,]

    Args:
        width: w, of the box, in units of the potential.

    Raises:
        ValueError: if ``width`` is not positive.

    Source: Wu et al. (2018), Spatio-temporal backpropagation, Frontiers in Neuroscience 12:331.
    """

    width: float = 1.0

    def __post_init__(self) -> None:
        positive_number("Rectangular", "width", self.width)

    def derivative(self, x: Tensor) -> Tensor:
        return (x.abs() < self.width / 2).to(x.dtype) / self.width

    @property
    def support(self) -> float:
        return self.width / 2
