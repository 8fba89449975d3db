"""Coloured membrane noise."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from ..core.numerics import exprel, response_moments
from ..core.quantities import NonNegative, Positive, Quantity
from ..core.terms import Noise, NoiseState

_SMALLEST = 1e-6  # of the variance; less than that of the potential is not left to the second number


class OrnsteinUhlenbeckNoise(Noise):
    r"""Noise with a memory: an Ornstein-Uhlenbeck process, added to the input current.

    .. math:: I \to I + \eta, \qquad \tau \dot \eta = -\eta + \sigma \xi(t)

    Its variance is :math:`\sigma^2 / (2 \tau)`, its autocorrelation :math:`e^{-|s| / \tau}`; for
    :math:`\tau \to 0` it becomes white noise of the same ``sigma``. It starts at zero. What a step adds to it, and what
    this brings to the membrane against its leak, are two correlated Gaussian numbers: with exponential Euler and the
    exact integrator, noise and leaky potential together are exact for any step and any memory. An explicit integrator
    holds the exact mean of :math:`\eta` over the step as a current.

    With :math:`\alpha = dt / \tau_m`, :math:`\beta = dt / \tau` and
    :math:`k(u) = (e^{-\alpha u} - e^{-\beta u}) / (\beta - \alpha)`, the fresh noise of a step has

    .. math::
        \langle \eta^2 \rangle = \frac{\sigma^2}{2 \tau} (1 - e^{-2 \beta}), \quad
        \langle \eta q \rangle = \sigma^2 \beta^2 \int_0^1 k(u)\, e^{-\beta u} du, \quad
        \langle q^2 \rangle = \sigma^2 \beta^2 dt \int_0^1 k(u)^2 du

    where ``q`` is the charge that it brings to the membrane.

    Args:
        tau: correlation time, ms.
        sigma: amplitude, input times sqrt(ms).

    Raises:
        ValueError: if ``tau`` is not positive or ``sigma`` is negative.

    Source: Uhlenbeck & Ornstein (1930), Phys. Rev. 36:823; Gillespie (1996), Phys. Rev. E 54:2084. The defaults are
    round values, from no source.
    """

    has_memory: ClassVar[bool] = True

    def __init__(self, tau: Quantity = 5.0, *, sigma: Quantity = 1.0):
        super().__init__()
        self.tau = Positive(tau, unit="ms")
        self.sigma = NonNegative(sigma)

    def kick(self, key: Tensor, leak: Tensor, dt: float) -> Tensor:
        number, besides = self.normals(key, leak.dtype)
        beta = dt / self.tau()
        covariance, square = response_moments(leak, beta)
        correlation = covariance * torch.rsqrt(exprel(-2 * beta) * square)
        rest = torch.sqrt(torch.clamp(1 - correlation * correlation, min=_SMALLEST))
        deviation = self.sigma() * math.sqrt(dt) * beta * torch.sqrt(square)
        return deviation * (correlation * number + rest * besides)

    def relax(self, value: NoiseState, above_rest: Tensor, dt: float) -> NoiseState:
        number, _ = self.normals(value.key, value.current.dtype)
        beta = dt / self.tau()
        deviation = self.sigma() * torch.sqrt(-torch.expm1(-2 * beta) / (2 * self.tau()))
        return value._replace(current=value.current * torch.exp(-beta) + deviation * number)
