"""The saturating rate function."""

import torch
from torch import Tensor

from ...core.quantities import Positive, Quantity, Real
from .activation import Activation


class Saturation(Activation):
    r"""A rate that saturates: the logistic function in physical units.

    .. math:: F(x) = \frac{r_{max}}{1 + e^{-\beta (x - \theta)}}

    Args:
        r_max: highest rate, Hz.
        beta: steepness, per unit of the input; the slope at ``theta`` is ``r_max * beta / 4``.
        theta: input at which the rate is half of ``r_max``.

    Shape:
        - input: any tensor
        - output: as the input

    Raises:
        ValueError: if ``r_max`` or ``beta`` is not positive.

    Source: Wilson & Cowan (1972), Biophys. J. 12:1. The defaults are round values, from no source.

    Example:
        >>> Saturation(r_max=80.0, theta=5.0)(torch.tensor([5.0, -1e6]))
        tensor([40.,  0.])
    """

    def __init__(self, r_max: Quantity = 100.0, beta: Quantity = 1.0, theta: Quantity = 0.0):
        super().__init__()
        self.r_max = Positive(r_max, unit="Hz")
        self.beta = Positive(beta)
        self.theta = Real(theta)

    def forward(self, x: Tensor) -> Tensor:
        return self.r_max() * torch.sigmoid(self.beta() * (x - self.theta()))
