"""The threshold-linear function."""

import torch
from torch import Tensor

from ...core.quantities import Positive, Quantity, Real
from .activation import Activation


class ThresholdLinear(Activation):
    r"""The threshold-linear function, a ReLU with a gain and a threshold.

    .. math:: F(x) = g\, \max(x - \theta, 0)

    Args:
        gain: rate per unit of the input above threshold.
        theta: threshold.

    Shape:
        - input: any tensor
        - output: as the input

    Raises:
        ValueError: if ``gain`` is not positive.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 7.2.

    Example:
        >>> ThresholdLinear(gain=2.0, theta=1.0)(torch.tensor([0.0, 3.0]))
        tensor([0., 4.])
    """

    def __init__(self, gain: Quantity = 1.0, theta: Quantity = 0.0):
        super().__init__()
        self.gain = Positive(gain)
        self.theta = Real(theta)

    def forward(self, x: Tensor) -> Tensor:
        return self.gain() * torch.relu(x - self.theta())
