"""The hyperbolic tangent."""

import torch
from torch import Tensor

from ...core.quantities import Positive, Quantity, Real
from .activation import Activation


class Tanh(Activation):
    r"""The hyperbolic tangent, from -1 to 1: a rate measured from its middle.

    .. math:: F(x) = \tanh(\beta (x - \theta))

    Args:
        beta: slope at ``theta``, per unit of the input.
        theta: input at which the rate is zero.

    Shape:
        - input: any tensor
        - output: as the input

    Raises:
        ValueError: if ``beta`` is not positive.

    Source: Sompolinsky, Crisanti & Sommers (1988), Phys. Rev. Lett. 61:259.

    Example:
        >>> Tanh()(torch.tensor([0.0, 0.5, -1e6]))
        tensor([ 0.0000,  0.4621, -1.0000])
    """

    def __init__(self, beta: Quantity = 1.0, theta: Quantity = 0.0):
        super().__init__()
        self.beta = Positive(beta)
        self.theta = Real(theta)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.beta() * (x - self.theta()))
