"""The rate of an integrate-and-fire cell under noise, in closed form."""

import torch
from torch import Tensor

from ...core.numerics import exprel
from ...core.quantities import Positive, Quantity, Real
from .activation import Activation


class AbbottChance(Activation):
    r"""The rate of a noisy leaky integrate-and-fire cell, in a closed form that fits it.

    .. math:: F(x) = \frac{a x - b}{1 - e^{-d (a x - b)}}

    Args:
        a: gain, Hz per nA.
        b: threshold, Hz.
        d: how sharp the threshold is, s.

    Shape:
        - input: any tensor, nA
        - output: as the input, Hz

    Raises:
        ValueError: if ``a`` or ``d`` is not positive.

    Source: Abbott & Chance (2005), Prog. Brain Res. 149:147; the defaults of Wong & Wang (2006), J. Neurosci. 26:1314.

    Example:
        >>> AbbottChance()(torch.tensor([0.4, 0.5, -1e6]))
        tensor([ 6.4935, 27.4290,  0.0000])
    """

    def __init__(self, a: Quantity = 270.0, b: Quantity = 108.0, d: Quantity = 0.154):
        super().__init__()
        self.a = Positive(a, unit="Hz/nA")
        self.b = Real(b, unit="Hz")
        self.d = Positive(d, unit="s")

    def forward(self, x: Tensor) -> Tensor:
        d = self.d()
        scaled = d * (self.a() * x - self.b())
        above = scaled > 0
        size = torch.where(above, scaled, -scaled)
        return torch.where(above, 1.0, torch.exp(-size)) / (d * exprel(-size))
