"""The cortical microcircuit with short-term plasticity."""

from typing import NamedTuple

from torch import Tensor, nn

from ..core.integrator import Integrator
from ..core.ode import ODE
from ..core.pair import split_pair
from ..core.quantities import NonNegative, Positive, Quantity, Real, UnitInterval
from ..core.state import State, first_leaf, full_state, register_state
from ..integrators import ExponentialEuler
from .activations import Softplus
from .activations.activation import check_activation


@register_state
class MicrocircuitState(NamedTuple):
    """E, I: rates, Hz; s: synaptic drive, Hz; u: utilisation, R: resources, from 0 to 1; all [B, *]."""

    E: Tensor
    I: Tensor  # noqa: E741 - the symbol of the equation
    s: Tensor
    u: Tensor
    R: Tensor


class Microcircuit(ODE):
    r"""An excitatory and an inhibitory population; recurrent excitation passes through a synapse that facilitates.

    .. math::
        \tau_E \dot E &= -E + F_E(J s - w_{EI} I + I_E), &
        \tau_I \dot I &= -I + F_I(w_{IE} E - w_{II} I + I_I), \\
        \tau_s \dot s &= -s + u R E, \\
        \dot u &= \frac{U - u}{\tau_f} + U (1 - u) E, &
        \dot R &= \frac{1 - R}{\tau_d} - u R E

    The last three are the synapse of Tsodyks and Markram with the rate ``E`` in the place of a spike train. The
    coupling ``J s`` is explicit: an activity that was is kept in ``u`` for about ``tau_f``, while the rates are back at
    their baseline, and a later input, the same for all, reads it out.

    Args:
        tau_E, tau_I, tau_s: time constants of the populations and of the synapse, ms.
        tau_f, tau_d: time constants of facilitation and of recovery from depression, ms.
        U: utilisation of resources at rest, from 0 to 1.
        J: strength of the recurrent excitation.
        w_EI, w_IE, w_II: strengths of the other couplings; ``w_XY`` is onto X from Y.
        I_E, I_I: background inputs, added to what comes in.
        F_E, F_I: activations, rates in Hz that are never negative; ``rates.Softplus(beta=1 / 1.5)`` if omitted.
        integrator: how a step is taken; with the default ``u`` and ``R`` stay from 0 to 1 for any ``dt``.
        dt: time step, ms.

    Shape:
        - input: a pair of inputs [T, B, \*], to the excitatory and to the inhibitory population; or one tensor
          [T, B, 2, \*] with both on an axis of their own behind the batch
        - output: [T, B, \*] rate of the excitatory population at the end of each step, Hz

    Raises:
        TypeError: if an activation is no module, or one with dynamics inside.
        ValueError: if a parameter is out of its bounds, ``dt`` is too long for an explicit integrator, or if the input
            does not have two parts.

    Source: Mongillo, Barak & Tsodyks (2008), Science 319:1543 (U, tau_f, tau_d, and working memory by facilitation);
    Mi, Katkov & Tsodyks (2017), Neuron 93:323 (its rate model, with the activation). The other defaults are round
    values in the regime in which the rates are low and alike before and after a cue.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> drive = torch.zeros(100, 1, 1)
        >>> drive[:50] = 40.0
        >>> circuit = tdn.Microcircuit()
        >>> _, state = circuit.scan((drive, torch.zeros(100, 1, 1)))
        >>> bool(state.u > 0.3)
        True
    """

    def __init__(
        self,
        *,
        tau_E: Quantity = 10.0,
        tau_I: Quantity = 10.0,
        tau_s: Quantity = 10.0,
        tau_f: Quantity = 1500.0,
        tau_d: Quantity = 200.0,
        U: Quantity = 0.2,
        J: Quantity = 5.0,
        w_EI: Quantity = 1.0,
        w_IE: Quantity = 1.0,
        w_II: Quantity = 0.0,
        I_E: Quantity = -3.0,
        I_I: Quantity = 0.0,
        F_E: nn.Module | None = None,
        F_I: nn.Module | None = None,
        integrator: Integrator = ExponentialEuler(),
        dt: float = 1.0,
    ):
        super().__init__(integrator=integrator, dt=dt)
        owner = type(self).__name__
        self.tau_E, self.tau_I = Positive(tau_E, unit="ms"), Positive(tau_I, unit="ms")
        self.tau_s = Positive(tau_s, unit="ms")
        self.tau_f, self.tau_d = Positive(tau_f, unit="ms"), Positive(tau_d, unit="ms")
        self.U = UnitInterval(U)
        self.J, self.w_EI = NonNegative(J), NonNegative(w_EI)
        self.w_IE, self.w_II = NonNegative(w_IE), NonNegative(w_II)
        self.I_E, self.I_I = Real(I_E), Real(I_I)
        self.F_E = check_activation(owner, "F_E", Softplus(beta=1 / 1.5) if F_E is None else F_E)
        self.F_I = check_activation(owner, "F_I", Softplus(beta=1 / 1.5) if F_I is None else F_I)

    def initial_state(self, x_t: State) -> MicrocircuitState:
        frame = first_leaf(self._read(x_t, axis=1))
        silent = full_state(frame, 0.0)
        return MicrocircuitState(silent, silent, silent, full_state(frame, self.U()), silent + 1)

    def relaxation(self, x_t: State, state: MicrocircuitState) -> tuple[MicrocircuitState, MicrocircuitState]:
        to_E, to_I = x_t
        E, I, s, u, R = state  # noqa: E741
        spikes = E / 1000  # per ms
        facilitated, used = self.tau_f() * self.U() * spikes, self.tau_d() * u * spikes
        target = MicrocircuitState(
            E=self.F_E(self.J() * s - self.w_EI() * I + (self.I_E() + to_E)),
            I=self.F_I(self.w_IE() * E - self.w_II() * I + (self.I_I() + to_I)),
            s=u * R * E,
            u=(self.U() + facilitated) / (1 + facilitated),
            R=1 / (1 + used),
        )
        tau = MicrocircuitState(
            self.tau_E(), self.tau_I(), self.tau_s(), self.tau_f() / (1 + facilitated), self.tau_d() / (1 + used)
        )
        return target, tau

    def _read(self, x: State, axis: int) -> State:
        return split_pair(type(self).__name__, "the inputs (I_E, I_I) of both populations", x, axis)
