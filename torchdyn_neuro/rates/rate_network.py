"""The rate network."""

from torch import nn

from ..core.checks import whole_number
from ..core.integrator import Integrator
from ..core.network import Network
from ..core.quantities import Alias, Quantity
from ..core.terms import Noise
from ..integrators import ExponentialEuler
from .rate_unit import RateUnit


class RateNetwork(Network):
    r"""Rate units that are coupled to each other within the step.

    .. math:: \tau_i \dot r_i = -r_i + F\Bigl(\sum_j W_{ij} r_j + I_i\Bigr)

    It is ``Network(RateUnit(...), connection)`` by name: the coupling is evaluated at every stage of a
    Runge-Kutta method; an exponential integrator takes it from the start of each of its substeps.

    Args:
        units: number of units.
        tau: time constant, ms: one, or one per unit.
        activation: the function F, see :class:`RateUnit`; ``rates.Sigmoid()`` if omitted.
        connection: maps rates [B, \*] to inputs; ``nn.Linear(units, units, bias=False)`` if omitted.
        r_init: rate before the first step.
        integrator: how a step is taken; the default takes the coupling from the start of the step.
        noise: what is added to the input of each unit, as its mean over each step; none if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*, units] input of each unit
        - output: [T, B, \*, units] rate at the end of each step

    Raises:
        TypeError, ValueError: as :class:`RateUnit` and :class:`Network`.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 7.4.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> layer = tdn.RateNetwork(4, tau=20.0, activation=tdn.rates.Tanh(), integrator=tdn.RK4())
        >>> layer(torch.ones(10, 2, 4)).shape
        torch.Size([10, 2, 4])
    """

    tau = Alias("neuron.tau")
    activation = Alias("neuron.activation")
    r_init = Alias("neuron.r_init")
    integrator = Alias("neuron.integrator")
    noise = Alias("neuron.noise")

    def __init__(
        self,
        units: int,
        tau: Quantity = 10.0,
        *,
        activation: nn.Module | None = None,
        connection: nn.Module | None = None,
        r_init: Quantity = 0.0,
        integrator: Integrator = ExponentialEuler(),
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        units = whole_number(type(self).__name__, "units", units, 1)
        unit = RateUnit(tau, activation=activation, r_init=r_init, integrator=integrator, noise=noise, dt=dt)
        super().__init__(unit, nn.Linear(units, units, bias=False) if connection is None else connection)
        self.units = units
