"""The smooth threshold-linear function."""

import torch
from torch import Tensor

from ...core.quantities import Positive, Quantity, Real
from .activation import Activation


class Softplus(Activation):
    r"""The threshold-linear function with a soft threshold.

    .. math:: F(x) = \frac{g}{\beta} \ln\bigl(1 + e^{\beta (x - \theta)}\bigr)

    Args:
        gain: rate per unit of the input far above threshold.
        beta: sharpness of the threshold, per unit of the input.
        theta: threshold.

    Shape:
        - input: any tensor
        - output: as the input

    Raises:
        ValueError: if ``gain`` or ``beta`` is not positive.

    Source: Mi, Katkov & Tsodyks (2017), Neuron 93:323 (neuronal gain of a network with short-term plasticity).

    Example:
        >>> Softplus()(torch.tensor([0.0, 1e6]))
        tensor([6.9315e-01, 1.0000e+06])
    """

    def __init__(self, gain: Quantity = 1.0, beta: Quantity = 1.0, theta: Quantity = 0.0):
        super().__init__()
        self.gain = Positive(gain)
        self.beta = Positive(beta)
        self.theta = Real(theta)

    def forward(self, x: Tensor) -> Tensor:
        scaled = self.beta() * (x - self.theta())
        above = scaled > 0
        # Exact on both sides, where torch's own function switches to its asymptote; a selection has the slope 1/2 at 0.
        soft = torch.where(above, scaled, 0.0) + torch.log1p(torch.exp(torch.where(above, -scaled, scaled)))
        return self.gain() / self.beta() * soft
