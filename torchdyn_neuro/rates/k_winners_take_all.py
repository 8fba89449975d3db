"""The k-winners-take-all network."""

from typing import NamedTuple

from torch import Tensor, nn

from ..connections.pooled_sum import PooledSum, read_for
from ..core.checks import whole_number
from ..core.integrator import Integrator
from ..core.ode import ODE
from ..core.quantities import Positive, Quantity, Real
from ..core.state import State, full_state, register_state
from ..integrators import RK4
from .activations import Sigmoid
from .activations.activation import check_activation


@register_state
class KWinnersTakeAllState(NamedTuple):
    """r: rates; z: inhibition, the same for all units; both [B, *]."""

    r: Tensor
    z: Tensor


class KWinnersTakeAll(ODE):
    r"""Units under one shared inhibition, which adapts until the sum of their rates is ``k``.

    .. math:: \tau \dot r_i = -r_i + F(I_i - z), \qquad \tau_z \dot z = \sum_j r_j - k

    The inhibition integrates what is too much, so that in the end the sum is exactly ``k``, for any input; with a steep
    ``F`` from 0 to 1 the ``k`` units of the largest inputs are active, whatever the units were before.

    The state holds a copy of the inhibition for each unit. Copies that differ, as in an analysis that starts anywhere,
    come together with ``tau``; that adds ``units - 1`` eigenvalues of :math:`-1 / \tau`.

    Args:
        units: number of units.
        k: number of winners, from 1 to ``units - 1``.
        tau: time constant of the rates, ms.
        tau_z: time constant of the inhibition, ms per unit of rate in excess.
        activation: the function F, from 0 to 1; ``rates.Sigmoid(beta=20.0)`` if omitted. The inputs of winners and
            losers should be several times ``1 / beta`` apart.
        r_init: rate before the first step.
        z_init: inhibition before the first step.
        integrator: how a step is taken: one of the Runge-Kutta methods, for the inhibition does not relax.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*, units] input of each unit
        - output: [T, B, \*, units] rate at the end of each step

    Raises:
        TypeError: if ``activation`` is no module, or one with dynamics inside.
        ValueError: if ``k`` is not from 1 to ``units - 1``, a time constant is not positive, or ``dt`` is too long.

    Source: Wang (2010), IEEE Trans. Neural Netw. 21:1496 (one state variable for the inhibition; there the rates follow
    at once). The defaults are round values, from no source.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> best = tdn.KWinnersTakeAll(4, k=2)
        >>> best(torch.tensor([0.1, 0.9, 0.5, 1.2]).expand(1000, 1, 4))[-1].round(decimals=2)
        tensor([[0.0000, 0.9800, 0.0200, 1.0000]])
    """

    pointwise = None

    def __init__(
        self,
        units: int,
        k: int = 1,
        *,
        tau: Quantity = 10.0,
        tau_z: Quantity = 100.0,
        activation: nn.Module | None = None,
        r_init: Quantity = 0.0,
        z_init: Quantity = 0.0,
        integrator: Integrator = RK4(),
        dt: float = 1.0,
    ):
        super().__init__(integrator=integrator, dt=dt)
        owner = type(self).__name__
        self.units = whole_number(owner, "units", units, 2)
        self.k = whole_number(owner, "k", k, 1)
        if self.k >= self.units:
            raise ValueError(f"{owner}: expected fewer winners than the {units} units, got k={k}; pass a smaller one")
        self.tau = Positive(tau, unit="ms")
        self.tau_z = Positive(tau_z, unit="ms")
        activation = Sigmoid(beta=20.0) if activation is None else activation
        self.activation = check_activation(owner, "activation", activation)
        self.r_init, self.z_init = Real(r_init), Real(z_init)
        self.pool = PooledSum(units)

    def initial_state(self, x_t: State) -> KWinnersTakeAllState:
        return KWinnersTakeAllState(r=full_state(x_t, self.r_init()), z=full_state(x_t, self.z_init()))

    def derivative(self, x_t: Tensor, state: KWinnersTakeAllState) -> KWinnersTakeAllState:
        # Each unit has a copy of the inhibition; without a pull to their mean, copies apart would be at rest too.
        apart = self.pool(state.z) / self.units - state.z
        return KWinnersTakeAllState(
            r=(self.activation(x_t - state.z) - state.r) / self.tau(),
            z=(self.pool(state.r) - self.k) / self.tau_z() + apart / self.tau(),
        )

    def _read(self, x: State, axis: int) -> State:
        return read_for(self.pool, x, axis)
