"""Spike-frequency adaptation by a current."""

from typing import ClassVar

from torch import Tensor

from ..core.quantities import Positive, Quantity, Real
from ..core.terms import Adaptation


class SpikeFrequencyAdaptation(Adaptation):
    r"""A current that every spike increases and that opposes the input.

    .. math:: I \to I - a, \qquad \tau_a \dot a = -a + b \sum_k \delta(t - t_k)

    A spike adds :math:`b / \tau_a`, so that at a constant rate ``r`` the mean of the current is ``b r``, whatever
    :math:`\tau_a`. The reset leaves it alone.

    Args:
        tau: time constant of the adaptation, ms.
        b: strength, input times ms; negative values facilitate.

    Raises:
        ValueError: if ``tau`` is not positive.

    Source: Benda & Herz (2003), Neural Comput. 15:2523. The defaults are round values, from no source.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> cell = tdn.LIF(adaptation=tdn.SpikeFrequencyAdaptation(tau=100.0, b=20.0))
        >>> cell(torch.full((300, 1, 1), 1.5)).sum() < tdn.LIF()(torch.full((300, 1, 1), 1.5)).sum()
        tensor(True)
    """

    as_current: ClassVar[bool] = True

    def __init__(self, tau: Quantity = 100.0, *, b: Quantity = 10.0):
        super().__init__()
        self.tau = Positive(tau, unit="ms")
        self.b = Real(b)

    def current(self, a: Tensor) -> Tensor:
        return -a

    def increment(self) -> Tensor:
        return self.b() / self.tau()
