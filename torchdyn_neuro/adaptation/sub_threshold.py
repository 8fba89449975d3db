"""Adaptation that follows the potential."""

from typing import ClassVar

from torch import Tensor

from ..core.quantities import Positive, Quantity, Real
from ..core.terms import Adaptation


class SubThresholdAdaptation(Adaptation):
    r"""A current that follows the potential, also without spikes, and that every spike increases.

    .. math:: I \to I - w, \qquad \tau_w \dot w = -w + a (v - v_{rest}) + b \sum_k \delta(t - t_k)

    With :math:`a > 0` it makes the cell resonate, with :math:`a < 0` it amplifies. A spike adds :math:`b / \tau_w`. The
    potential and ``w`` are coupled: an explicit integrator such as ``RK4()`` solves them jointly to its order;
    exponential Euler takes the new potential of each step, which is first order and keeps oscillations bounded.

    Args:
        tau: time constant of the adaptation, ms.
        a: coupling to the potential, input per unit of potential.
        b: strength of the jumps, input times ms.

    Raises:
        ValueError: if ``tau`` is not positive, or by the cell, if it has no resting potential.

    Source: Brette & Gerstner (2005), J. Neurophysiol. 94:3637; Baronig et al. (2025), Nat. Commun. 16:5776. The
    defaults are round values, from no source.
    """

    as_current: ClassVar[bool] = True
    follows_potential: ClassVar[bool] = True

    def __init__(self, tau: Quantity = 100.0, *, a: Quantity = 0.5, b: Quantity = 10.0):
        super().__init__()
        self.tau = Positive(tau, unit="ms")
        self.a = Real(a)
        self.b = Real(b)

    def current(self, a: Tensor) -> Tensor:
        return -a

    def target(self, above_rest: Tensor) -> Tensor:
        return self.a() * above_rest

    def increment(self) -> Tensor:
        return self.b() / self.tau()
