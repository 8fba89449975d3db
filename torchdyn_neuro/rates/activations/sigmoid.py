"""The logistic function."""

import torch
from torch import Tensor

from ...core.quantities import Positive, Quantity, Real
from .activation import Activation


class Sigmoid(Activation):
    r"""The logistic function, from 0 to 1.

    .. math:: F(x) = \frac{1}{1 + e^{-\beta (x - \theta)}}

    Args:
        beta: steepness, per unit of the input; the slope at ``theta`` is ``beta / 4``.
        theta: input at which the rate is one half.

    Shape:
        - input: any tensor
        - output: as the input

    Raises:
        ValueError: if ``beta`` is not positive.

    Source: Wilson & Cowan (1972), Biophys. J. 12:1.

    Example:
        >>> Sigmoid(beta=2.0, theta=1.0)(torch.tensor([1.0, 1e6]))
        tensor([0.5000, 1.0000])
    """

    def __init__(self, beta: Quantity = 1.0, theta: Quantity = 0.0):
        super().__init__()
        self.beta = Positive(beta)
        self.theta = Real(theta)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.beta() * (x - self.theta()))
