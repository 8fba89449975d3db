"""The excitatory-inhibitory pair."""

from typing import NamedTuple

from torch import Tensor, nn

from ..core.integrator import Integrator
from ..core.ode import ODE
from ..core.pair import split_pair
from ..core.quantities import NonNegative, Positive, Quantity, Real
from ..core.state import State, first_leaf, full_state, register_state
from ..integrators import ExponentialEuler
from .activations import Sigmoid
from .activations.activation import check_activation


@register_state
class WilsonCowanState(NamedTuple):
    """E, I: rates of the excitatory and the inhibitory population, [B, *]."""

    E: Tensor
    I: Tensor  # noqa: E741 - the symbol of the equation


class WilsonCowan(ODE):
    r"""An excitatory and an inhibitory population, in the Wilson-Cowan form without the refractory factor.

    .. math::
        \tau_E \dot E = -E + F_E(w_{EE} E - w_{EI} I + I_E), \qquad
        \tau_I \dot I = -I + F_I(w_{IE} E - w_{II} I + I_I)

    ``w_XY`` is onto X from Y; weights are positive and the equation carries the signs, so that Dale's law holds however
    they are learned. Every element of the input is a pair of its own;
    ``Network(WilsonCowan(), connection, source="E", input=0)`` couples them by their excitation. With the defaults a
    pair rests at ``I_E = 0`` and oscillates, at about 19 Hz, at ``I_E = 1.5``.

    Args:
        tau_E, tau_I: time constants, ms.
        w_EE, w_EI, w_IE, w_II: strengths of the couplings.
        I_E, I_I: background inputs, added to what comes in.
        F_E, F_I: activations, see :class:`RateUnit`; ``rates.Sigmoid(1.3, theta=4.0)`` and
            ``rates.Sigmoid(2.0, theta=3.7)`` if omitted.
        E_init, I_init: rates before the first step.
        integrator: how a step is taken; the default takes the coupling from the start of the step.
        dt: time step, ms.

    Shape:
        - input: a pair of inputs [T, B, \*], to the excitatory and to the inhibitory population; or one tensor
          [T, B, 2, \*] with both on an axis of their own behind the batch
        - output: [T, B, \*] rate of the excitatory population at the end of each step

    Raises:
        TypeError: if an activation is no module, or one with dynamics inside.
        ValueError: if a time constant is not positive, a strength is negative, ``dt`` is too long for an explicit
            integrator, or if the input does not have two parts.

    Source: Wilson & Cowan (1972), Biophys. J. 12:1, with w = (16, 12, 15, 3) and the sigmoids of its Fig. 11, there
    with a refractory factor and F(0) taken off. The time constants are round values.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> drive = torch.full((300, 1, 1), 1.5), torch.zeros(300, 1, 1)
        >>> E = tdn.WilsonCowan(integrator=tdn.RK4())(drive)
        >>> bool(E[100:].max() - E[100:].min() > 0.2)
        True
    """

    def __init__(
        self,
        *,
        tau_E: Quantity = 10.0,
        tau_I: Quantity = 10.0,
        w_EE: Quantity = 16.0,
        w_EI: Quantity = 12.0,
        w_IE: Quantity = 15.0,
        w_II: Quantity = 3.0,
        I_E: Quantity = 0.0,
        I_I: Quantity = 0.0,
        F_E: nn.Module | None = None,
        F_I: nn.Module | None = None,
        E_init: Quantity = 0.0,
        I_init: Quantity = 0.0,
        integrator: Integrator = ExponentialEuler(),
        dt: float = 1.0,
    ):
        super().__init__(integrator=integrator, dt=dt)
        owner = type(self).__name__
        self.tau_E, self.tau_I = Positive(tau_E, unit="ms"), Positive(tau_I, unit="ms")
        self.w_EE, self.w_EI = NonNegative(w_EE), NonNegative(w_EI)
        self.w_IE, self.w_II = NonNegative(w_IE), NonNegative(w_II)
        self.I_E, self.I_I = Real(I_E), Real(I_I)
        self.F_E = check_activation(owner, "F_E", Sigmoid(1.3, theta=4.0) if F_E is None else F_E)
        self.F_I = check_activation(owner, "F_I", Sigmoid(2.0, theta=3.7) if F_I is None else F_I)
        self.E_init, self.I_init = Real(E_init), Real(I_init)

    def initial_state(self, x_t: State) -> WilsonCowanState:
        frame = first_leaf(self._read(x_t, axis=1))
        return WilsonCowanState(full_state(frame, self.E_init()), full_state(frame, self.I_init()))

    def relaxation(self, x_t: State, state: WilsonCowanState) -> tuple[WilsonCowanState, WilsonCowanState]:
        to_E, to_I = x_t
        E, I = state  # noqa: E741
        target = WilsonCowanState(
            E=self.F_E(self.w_EE() * E - self.w_EI() * I + (self.I_E() + to_E)),
            I=self.F_I(self.w_IE() * E - self.w_II() * I + (self.I_I() + to_I)),
        )
        return target, WilsonCowanState(self.tau_E(), self.tau_I())

    def _read(self, x: State, axis: int) -> State:
        return split_pair(type(self).__name__, "the inputs (I_E, I_I) of both populations", x, axis)
