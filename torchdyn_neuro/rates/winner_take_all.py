"""The winner-take-all network."""

from torch import nn

from ..connections.lateral_inhibition import LateralInhibition
from ..core.checks import whole_number
from ..core.integrator import Integrator
from ..core.network import Network
from ..core.quantities import Alias, Quantity
from ..core.terms import Noise
from ..integrators import RK4
from .activations import ThresholdLinear
from .rate_unit import RateUnit


class WinnerTakeAll(Network):
    r"""Rate units that inhibit each other until one is left.

    .. math:: \tau \dot r_i = -r_i + F\Bigl(I_i - \sum_{j \ne i} w_{ij} r_j\Bigr)

    For threshold-linear units and one strength ``w``: with ``w`` above 1 only one unit stays active, the one of the
    strongest input if all start alike; it keeps the lead until the input of another exceeds ``w`` times its own
    (hysteresis). Below 1 all units share, and the active ones solve :math:`(1 - w)\, r_i + w \sum_j r_j = I_i`. (The
    map :math:`r \leftarrow F(I - w \sum r)`, iterated for all units at once, flips to and fro and is no dynamics.)

    Args:
        units: number of units.
        w: strength of the inhibition: one, formed by one shared sum; one per unit that is inhibited; or a matrix
            [units, units], see :class:`LateralInhibition`.
        tau: time constant, ms.
        activation: the function F, see :class:`RateUnit`; ``rates.ThresholdLinear()`` if omitted.
        r_init: rate before the first step.
        integrator: how a step is taken.
        noise: what is added to the input of each unit, as its mean over each step; none if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*, units] input of each unit
        - output: [T, B, \*, units] rate at the end of each step

    Raises:
        TypeError, ValueError: as :class:`RateUnit` and :class:`LateralInhibition`.

    Source: Hahnloser et al. (2000), Nature 405:947; Xie, Hahnloser & Seung (2002), Neural Comput. 14:2627.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> race = tdn.WinnerTakeAll(3, w=2.0)
        >>> race(torch.tensor([1.0, 0.9, 0.8]).expand(400, 1, 3))[-1].round(decimals=3)
        tensor([[1., 0., 0.]])
    """

    w = Alias("connection.w")
    tau = Alias("neuron.tau")
    activation = Alias("neuron.activation")
    r_init = Alias("neuron.r_init")
    integrator = Alias("neuron.integrator")
    noise = Alias("neuron.noise")

    def __init__(
        self,
        units: int,
        w: Quantity = 2.0,
        *,
        tau: Quantity = 10.0,
        activation: nn.Module | None = None,
        r_init: Quantity = 0.0,
        integrator: Integrator = RK4(),
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        units = whole_number(type(self).__name__, "units", units, 1)
        activation = ThresholdLinear() if activation is None else activation
        unit = RateUnit(tau, activation=activation, r_init=r_init, integrator=integrator, noise=noise, dt=dt)
        super().__init__(unit, LateralInhibition(units, w))
        self.units = units
