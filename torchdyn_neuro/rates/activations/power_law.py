"""The threshold power law."""

from torch import Tensor

from ...core.quantities import Positive, Quantity, Real
from .activation import Activation, rectified_power


class PowerLaw(Activation):
    r"""A threshold and a power: the average response of noisy cells around threshold.

    .. math:: F(x) = k\, \max(x - \theta, 0)^n

    Args:
        k: rate per unit of the input to the power ``n``.
        n: exponent, from 1 to 6; 2 to 5 in visual cortex.
        theta: threshold.

    Shape:
        - input: any tensor
        - output: as the input

    Raises:
        ValueError: if ``k`` is not positive, or ``n`` is not from 1 to 6.

    Source: Miller & Troyer (2002), J. Neurophysiol. 87:653; Ahmadian, Rubin & Miller (2013), Neural Comput. 25:1994
    (the stabilized supralinear network; k = 0.04, n = 2).

    Example:
        >>> import torch
        >>> PowerLaw()(torch.tensor([-1.0, 10.0]))
        tensor([0., 4.])
    """

    def __init__(self, k: Quantity = 0.04, n: Quantity = 2.0, theta: Quantity = 0.0):
        super().__init__()
        self.k = Positive(k)
        self.n = Real(n, low=1.0, high=6.0)
        self.theta = Real(theta)

    def forward(self, x: Tensor) -> Tensor:
        return self.k() * rectified_power(x - self.theta(), self.n())
