"""Divisive normalization."""

from typing import NamedTuple

from torch import Tensor

from ..connections.pooled_sum import PooledSum, read_for
from ..core.checks import whole_number
from ..core.integrator import Integrator
from ..core.ode import ODE
from ..core.quantities import Alias, Positive, Quantity, Real
from ..core.state import State, register_state, zeros_state
from ..integrators import ExponentialEuler
from .activations.activation import rectified_power


@register_state
class DivisiveNormalizationState(NamedTuple):
    """r: rate, [B, *]."""

    r: Tensor


class DivisiveNormalization(ODE):
    r"""Rates that relax towards their drive divided by the pooled drive of all units.

    .. math:: \tau \dot r_i = -r_i + \gamma \frac{D_i^n}{\sigma^n + \sum_k \alpha_{ik} D_k^n}

    A drive below zero counts as none.

    Args:
        units: number of units.
        gamma: highest rate, Hz: what a unit that is driven alone, and strongly, comes to.
        sigma: drive at which a unit that is driven alone has half of ``gamma``.
        n: exponent, from 1 to 4.
        alpha: weights of the pool, never negative: one, one per unit, or a matrix [units, units], see
            :class:`PooledSum`.
        tau: time constant, ms.
        integrator: how a step is taken; the default is exact for a drive that is constant over the step.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*, units] drive of each unit
        - output: [T, B, \*, units] rate at the end of each step

    Raises:
        ValueError: if ``gamma``, ``sigma`` or ``tau`` is not positive, ``n`` is not from 1 to 4, a weight is negative,
            or ``dt`` is too long for an explicit integrator.

    Source: Carandini & Heeger (2012), Nat. Rev. Neurosci. 13:51. The defaults are round values, from no source.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> norm = tdn.DivisiveNormalization(2, gamma=100.0, sigma=1.0)
        >>> norm(torch.tensor([1.0, 3.0]).expand(200, 1, 2))[-1].round(decimals=3)
        tensor([[ 9.0910, 81.8180]])
    """

    pointwise = None
    alpha = Alias("pool.w")

    def __init__(
        self,
        units: int,
        *,
        gamma: Quantity = 100.0,
        sigma: Quantity = 1.0,
        n: Quantity = 2.0,
        alpha: Quantity = 1.0,
        tau: Quantity = 10.0,
        integrator: Integrator = ExponentialEuler(),
        dt: float = 1.0,
    ):
        super().__init__(integrator=integrator, dt=dt)
        self.units = whole_number(type(self).__name__, "units", units, 1)
        self.gamma = Positive(gamma, unit="Hz")
        self.sigma = Positive(sigma)
        self.n = Real(n, low=1.0, high=4.0)
        self.tau = Positive(tau, unit="ms")
        self.pool = PooledSum(units, alpha)

    def initial_state(self, x_t: State) -> DivisiveNormalizationState:
        return DivisiveNormalizationState(zeros_state(x_t))

    def relaxation(
        self, x_t: Tensor, state: DivisiveNormalizationState
    ) -> tuple[DivisiveNormalizationState, DivisiveNormalizationState]:
        power = rectified_power(x_t / self.sigma(), self.n())
        rate = self.gamma() * power / (1 + self.pool(power))
        return DivisiveNormalizationState(rate), DivisiveNormalizationState(self.tau())

    def _read(self, x: State, axis: int) -> State:
        return read_for(self.pool, x, axis)
