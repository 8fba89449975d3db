"""The rate unit."""

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
class RateState(NamedTuple):
    """r: rate, [B, *]; noise: of the part, () if absent."""

    r: Tensor
    noise: State = ()

    @property
    def v(self) -> Tensor:
        """What stands for a potential where a noise asks for one."""
        return self.r


class RateUnit(ODE):
    r"""A rate that relaxes towards a function of its input.

    .. math:: \tau \dot r = -r + F(I)

    In a :class:`Network` the input holds the rates of the others, :math:`\tau \dot r = -r + F(W r + I)`: the function
    is outside of the sum. :class:`RateNetwork` is that network.

    Args:
        tau: time constant, ms.
        activation: the function F: one of ``tdn.rates``, or any module that acts on each element, ``nn.Identity()`` for
            a linear unit; ``rates.Sigmoid()`` if omitted.
        r_init: rate before the first step.
        integrator: how a step is taken; the default is exact for an input that is constant over the step.
        noise: what is added to the input, e.g. ``WhiteNoise()``, as its mean over each step; none if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*] input of each unit
        - output: [T, B, \*] rate at the end of each step

    Raises:
        TypeError: if ``activation`` is no module, or one with dynamics inside.
        ValueError: if ``tau`` or ``dt`` is not positive, or if ``dt`` is too long for an explicit integrator.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 7.2.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> tdn.RateUnit(tau=2.0, activation=tdn.rates.ThresholdLinear())(torch.ones(3, 1, 1)).flatten()
        tensor([0.3935, 0.6321, 0.7769])
    """

    def __init__(
        self,
        tau: Quantity = 10.0,
        *,
        activation: nn.Module | None = None,
        r_init: Quantity = 0.0,
        integrator: Integrator = ExponentialEuler(),
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        super().__init__(integrator=integrator, noise=noise, dt=dt)
        self.tau = Positive(tau, unit="ms")
        activation = Sigmoid() if activation is None else activation
        self.activation = check_activation(type(self).__name__, "activation", activation)
        self.r_init = Real(r_init)

    def initial_state(self, x_t: State) -> RateState:
        return RateState(r=full_state(x_t, self.r_init()), **self.initial_terms(x_t))

    def membrane(self) -> Membrane:
        # A noise is part of the input, inside the function.
        return Membrane(gain=1 / self.tau(), leaks=False)

    def relaxation(self, x_t: Tensor, state: RateState) -> tuple[RateState, RateState]:
        return RateState(r=self.activation(x_t)), RateState(r=self.tau())
