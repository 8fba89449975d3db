"""White membrane noise."""

import math

import torch
from torch import Tensor

from ..core.numerics import exprel
from ..core.quantities import NonNegative, Quantity
from ..core.terms import Noise


class WhiteNoise(Noise):
    r"""Gaussian white noise, added to the input current.

    .. math:: I \to I + \sigma \xi(t), \qquad \langle \xi(t) \xi(t') \rangle = \delta(t - t')

    For a leaky cell, :math:`\tau_m \dot v = -(v - v_{rest}) + R (I + \sigma \xi)`, the variance without threshold is
    :math:`(R \sigma)^2 / (2 \tau_m)`. Exponential Euler and the exact integrator take the exact increment, of standard
    deviation :math:`R \sigma \sqrt{(1 - e^{-2 dt / \tau_m}) / (2 \tau_m)}`. An explicit integrator takes a current of
    standard deviation :math:`\sigma / \sqrt{dt}`, held over the step; for ``Euler()`` this is Euler-Maruyama.

    Args:
        sigma: amplitude, input times sqrt(ms).

    Raises:
        ValueError: if ``sigma`` is negative.

    Source: Gerstner et al. (2014), Neuronal Dynamics, ch. 8.1; Gillespie (1996), Phys. Rev. E 54:2084.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> _ = torch.manual_seed(0)
        >>> spikes = tdn.LIF(noise=tdn.WhiteNoise(sigma=3.0))(torch.full((1000, 1, 1), 0.8))
        >>> spikes.sum() > 0
        tensor(True)
    """

    def __init__(self, sigma: Quantity = 1.0):
        super().__init__()
        self.sigma = NonNegative(sigma)

    def kick(self, key: Tensor, leak: Tensor, dt: float) -> Tensor:
        number = self.normal(key, leak.dtype)
        return self.sigma() * math.sqrt(dt) * torch.sqrt(exprel(-2 * leak)) * number
