"""The continuous-time recurrent neural network."""

from torch import nn

from ..core.checks import whole_number
from ..core.integrator import Integrator
from ..core.network import Network
from ..core.quantities import Alias, Quantity
from ..core.terms import Noise
from ..integrators import ExponentialEuler
from .ctrnn_unit import CTRNNUnit


class CTRNN(Network):
    r"""Continuous-time recurrent neural network: the bias is inside the function and belongs to the unit that sends.

    .. math:: \tau_i \dot x_i = -x_i + \sum_j w_{ij}\, \sigma(x_j + \theta_j) + I_i

    It is ``Network(CTRNNUnit(...), connection)`` by name: the coupling is evaluated at every stage of a
    Runge-Kutta method; an exponential integrator takes it from the start of each of its substeps.
    Any smooth trajectory can be approximated by it (Funahashi & Nakamura 1993).

    Args:
        units: number of units.
        tau: time constant, ms: one, or one per unit.
        theta: bias: one, or one per unit.
        activation: the function sigma, see :class:`RateUnit`; ``rates.Sigmoid()`` if omitted.
        connection: maps outputs [B, \*] to inputs; ``nn.Linear(units, units, bias=False)`` if omitted.
        x_init: state before the first step.
        integrator: how a step is taken; the default takes the coupling from the start of the step.
        noise: what is added to the input of each unit, as its mean over each step; none if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*, units] input of each unit
        - output: [T, B, \*, units] :math:`\sigma(x + \theta)` at the end of each step

    Raises:
        TypeError, ValueError: as :class:`CTRNNUnit` and :class:`Network`.

    Source: Beer (1995), Adaptive Behavior 3:469; Funahashi & Nakamura (1993), Neural Networks 6:801.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> tau = tdn.Learned(torch.linspace(5.0, 50.0, 4))
        >>> layer = tdn.CTRNN(4, tau, theta=tdn.Learned(torch.zeros(4)), integrator=tdn.RK4())
        >>> layer(torch.ones(10, 2, 4)).shape
        torch.Size([10, 2, 4])
    """

    tau = Alias("neuron.tau")
    theta = Alias("neuron.theta")
    activation = Alias("neuron.activation")
    x_init = Alias("neuron.x_init")
    integrator = Alias("neuron.integrator")
    noise = Alias("neuron.noise")

    def __init__(
        self,
        units: int,
        tau: Quantity = 10.0,
        theta: Quantity = 0.0,
        *,
        activation: nn.Module | None = None,
        connection: nn.Module | None = None,
        x_init: Quantity = 0.0,
        integrator: Integrator = ExponentialEuler(),
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        units = whole_number(type(self).__name__, "units", units, 1)
        unit = CTRNNUnit(tau, theta, activation=activation, x_init=x_init, integrator=integrator, noise=noise, dt=dt)
        super().__init__(unit, nn.Linear(units, units, bias=False) if connection is None else connection)
        self.units = units
