"""The Naka-Rushton function."""

import torch
from torch import Tensor

from ...core.quantities import Positive, Quantity, Real
from .activation import Activation, rectified_power


class NakaRushton(Activation):
    r"""A power that saturates: the contrast response of cells in retina and cortex.

    .. math:: F(x) = r_{max} \frac{y^n}{\sigma^n + y^n}, \qquad y = \max(x - \theta, 0)

    Args:
        r_max: highest rate, Hz.
        sigma: input above threshold at which the rate is half of ``r_max``.
        n: exponent, from 1 to 6.
        theta: threshold.

    Shape:
        - input: any tensor
        - output: as the input

    Raises:
        ValueError: if ``r_max`` or ``sigma`` is not positive, or ``n`` is not from 1 to 6.

    Source: Naka & Rushton (1966), J. Physiol. 185:536; Albrecht & Hamilton (1982), J. Neurophysiol. 48:217. The
    defaults are round values, from no source.

    Example:
        >>> NakaRushton(r_max=80.0, sigma=5.0)(torch.tensor([-1.0, 5.0, 1e6]))
        tensor([ 0., 40., 80.])
    """

    def __init__(self, r_max: Quantity = 100.0, sigma: Quantity = 10.0, n: Quantity = 2.0, theta: Quantity = 0.0):
        super().__init__()
        self.r_max = Positive(r_max, unit="Hz")
        self.sigma = Positive(sigma)
        self.n = Real(n, low=1.0, high=6.0)
        self.theta = Real(theta)

    def forward(self, x: Tensor) -> Tensor:
        y, sigma = torch.relu(x - self.theta()), self.sigma()
        # The smaller over the larger, so that no power overflows.
        weak = y < sigma
        power = rectified_power(torch.where(weak, y, sigma) / torch.where(weak, sigma, y), self.n())
        return self.r_max() * torch.where(weak, power, 1.0) / (1 + power)
