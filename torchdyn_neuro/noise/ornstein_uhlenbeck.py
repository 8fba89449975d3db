"""Coloured membrane noise."""

from typing import ClassVar

import torch
from torch import Tensor

from ..core.parts import Noise
from ..core.quantities import NonNegative, Positive, Quantity


class OrnsteinUhlenbeckNoise(Noise):
    r"""Noise with a memory: an Ornstein-Uhlenbeck process, added to the input current.

    .. math:: I \to I + \eta, \qquad \tau \dot \eta = -\eta + \sigma \xi(t)

    Its variance is :math:`\sigma^2 / (2 \tau)`, its autocorrelation :math:`e^{-|s| / \tau}`; for
    :math:`\tau \to 0` it becomes white noise of the same ``sigma``. It starts at zero and its update is exact,
    :math:`\eta \leftarrow \eta e^{-dt / \tau} + \sigma \sqrt{(1 - e^{-2 dt / \tau}) / (2 \tau)}\, N(0, 1)`.
    Within a step the increment grows linearly, so that the statistics of the potential are second order in the step;
    for a memory shorter than the step use :class:`WhiteNoise`.

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

    def current(self, state: Tensor) -> Tensor:
        return state

    def kick(self, numbers: Tensor, leak: Tensor, dt: float) -> Tensor:
        return dt / 2 * self._increment(numbers, dt)

    def advance(self, state: Tensor, numbers: Tensor, dt: float) -> Tensor:
        return state + self._increment(numbers, dt)

    def _increment(self, numbers: Tensor, dt: float) -> Tensor:
        return self.sigma() * torch.sqrt(-torch.expm1(-2 * dt / self.tau()) / (2 * self.tau())) * numbers
