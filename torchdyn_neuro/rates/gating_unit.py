"""A population seen through its slow synapses."""

from typing import NamedTuple

from torch import Tensor, nn

from ..core.integrator import Integrator
from ..core.ode import ODE, Membrane
from ..core.quantities import NonNegative, Positive, Quantity, Real, UnitInterval
from ..core.state import State, full_state, register_state
from ..core.terms import Noise
from ..integrators import ExponentialEuler
from .activations import AbbottChance
from .activations.activation import check_activation


@register_state
class GatingState(NamedTuple):
    """S: open share of the NMDA receptors, [B, *], from 0 to 1; noise: of the part, () if absent."""

    S: Tensor
    noise: State = ()

    @property
    def v(self) -> Tensor:
        """What stands for a potential where a noise asks for one."""
        return self.S


class GatingUnit(ODE):
    r"""A population of cells whose slow NMDA receptors saturate; its rate follows the input at once.

    .. math:: \dot S = -\frac{S}{\tau_S} + (1 - S)\, \gamma\, H(I + I_0)

    :class:`WongWang` couples such units.

    Args:
        tau_S: time constant of the NMDA receptors, ms.
        gamma: share of the closed receptors that a spike opens.
        I_0: background current, nA.
        activation: the rate H in Hz as a function of the current; ``rates.AbbottChance()`` if omitted.
        S_init: gating before the first step, from 0 to 1.
        integrator: how a step is taken; with the default ``S`` stays from 0 to 1 for any ``dt``.
        noise: what is added to the current, as its mean over each step; none if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*] current, nA
        - output: [T, B, \*] gating S at the end of each step

    Raises:
        TypeError: if ``activation`` is no module, or one with dynamics inside.
        ValueError: if a parameter is out of its bounds, or if ``dt`` is too long for an explicit integrator.

    Source: Wong & Wang (2006), J. Neurosci. 26:1314.
    """

    def __init__(
        self,
        *,
        tau_S: Quantity = 100.0,
        gamma: Quantity = 0.641,
        I_0: Quantity = 0.3255,
        activation: nn.Module | None = None,
        S_init: Quantity = 0.1,
        integrator: Integrator = ExponentialEuler(),
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        super().__init__(integrator=integrator, noise=noise, dt=dt)
        self.tau_S = Positive(tau_S, unit="ms")
        self.gamma = NonNegative(gamma)
        self.I_0 = Real(I_0, unit="nA")
        activation = AbbottChance() if activation is None else activation
        self.activation = check_activation(type(self).__name__, "activation", activation)
        self.S_init = UnitInterval(S_init)

    def initial_state(self, x_t: State) -> GatingState:
        return GatingState(S=full_state(x_t, self.S_init()), **self.initial_terms(x_t))

    def membrane(self) -> Membrane:
        return Membrane(gain=1 / self.tau_S(), leaks=False)

    def rate(self, x_t: Tensor) -> Tensor:
        """The rate of the population at an input current, Hz."""
        return self.activation(x_t + self.I_0())

    def relaxation(self, x_t: Tensor, state: GatingState) -> tuple[GatingState, GatingState]:
        opening = self.gamma() * self.rate(x_t) / 1000  # per ms
        total = opening + 1 / self.tau_S()
        return GatingState(S=opening / total), GatingState(S=1 / total)
