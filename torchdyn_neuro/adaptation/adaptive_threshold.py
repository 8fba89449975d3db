"""Adaptation of the threshold."""

from typing import ClassVar

from torch import Tensor

from ..core.quantities import Positive, Quantity, Real
from ..core.terms import Adaptation


class AdaptiveThreshold(Adaptation):
    r"""A threshold that every spike raises and that decays back.

    .. math:: v_{th} \to v_{th} + a, \qquad \tau_a \dot a = -a + \beta \sum_k \delta(t - t_k)

    A spike adds :math:`\beta / \tau_a`, so that at a constant rate ``r`` the threshold is higher by :math:`\beta r` on
    average. The step of the source adds :math:`\beta (1 - e^{-dt/\tau_a})`, the same to first order in ``dt``.

    Args:
        tau: time constant of the adaptation, ms.
        beta: strength, potential times ms; the source has 1.8 ms for a threshold of 0.01 and 700 ms (sequential MNIST),
            here 180 ms for a threshold of 1.

    Raises:
        ValueError: if ``tau`` is not positive.

    Source: Bellec et al. (2018), Long short-term memory and learning-to-learn in networks of spiking neurons, NeurIPS,
    and its published code; the time constant is a round value within the 200 to 1200 ms used there.
    """

    on_threshold: ClassVar[bool] = True

    def __init__(self, tau: Quantity = 200.0, *, beta: Quantity = 180.0):
        super().__init__()
        self.tau = Positive(tau, unit="ms")
        self.beta = Real(beta)

    def threshold(self, value: Tensor, v: Tensor, dt: float) -> Tensor:
        return value

    def increment(self) -> Tensor:
        return self.beta() / self.tau()
