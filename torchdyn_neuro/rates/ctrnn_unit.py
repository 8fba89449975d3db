"""The unit of a continuous-time recurrent network."""

from typing import NamedTuple

from torch import Tensor, nn

from ..core.integrator import Integrator
from ..core.ode import ODE, Membrane
from ..core.quantities import Positive, Quantity, Real
from ..core.state import State, full_state, register_state
from ..core.terms import Noise
from ..integrators import ExponentialEuler
from .activations import Sigmoid
from .activations.activation import check_activation


@register_state
class CTRNNState(NamedTuple):
    """x: state of the unit, its mean input, [B, *]; noise: of the part, () if absent."""

    x: Tensor
    noise: State = ()

    @property
    def v(self) -> Tensor:
        """What stands for a potential where a noise asks for one."""
        return self.x


class CTRNNUnit(ODE):
    r"""A unit that low-pass filters its input and puts out a function of the result.

    .. math:: \tau \dot x = -x + I, \qquad y = \sigma(x + \theta)

    In a :class:`Network` the input holds the outputs of the others, :math:`\sum_j w_{ij} \sigma(x_j + \theta_j)`: the
    bias ``theta`` belongs to the unit that sends. :class:`CTRNN` is that network.

    Args:
        tau: time constant, ms.
        theta: bias of the unit.
        activation: the function sigma, see :class:`RateUnit`; ``rates.Sigmoid()`` if omitted.
        x_init: state before the first step.
        integrator: how a step is taken; the default is exact for an input that is constant over the step.
        noise: what is added to the input, e.g. ``WhiteNoise()``, as its mean over each step; none if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*] input of each unit
        - output: [T, B, \*] rate at the end of each step

    Raises:
        TypeError: if ``activation`` is no module, or one with dynamics inside.
        ValueError: if ``tau`` or ``dt`` is not positive, or if ``dt`` is too long for an explicit integrator.

    Source: Beer (1995), Adaptive Behavior 3:469.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> tdn.CTRNNUnit(tau=2.0, theta=1.0, activation=torch.nn.Identity())(torch.ones(3, 1, 1)).flatten()
        tensor([1.3935, 1.6321, 1.7769])
    """

    def __init__(
        self,
        tau: Quantity = 10.0,
        theta: Quantity = 0.0,
        *,
        activation: nn.Module | None = None,
        x_init: Quantity = 0.0,
        integrator: Integrator = ExponentialEuler(),
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        super().__init__(integrator=integrator, noise=noise, dt=dt)
        self.tau = Positive(tau, unit="ms")
        self.theta = Real(theta)
        activation = Sigmoid() if activation is None else activation
        self.activation = check_activation(type(self).__name__, "activation", activation)
        self.x_init = Real(x_init)

    def initial_state(self, x_t: State) -> CTRNNState:
        return CTRNNState(x=full_state(x_t, self.x_init()), **self.initial_terms(x_t))

    def membrane(self) -> Membrane:
        return Membrane(gain=1 / self.tau(), leaks=False)

    def relaxation(self, x_t: Tensor, state: CTRNNState) -> tuple[CTRNNState, CTRNNState]:
        return CTRNNState(x=x_t), CTRNNState(x=self.tau())

    def observe(self, state: CTRNNState) -> Tensor:
        return self.activation(state.x + self.theta())
