"""The adaptive exponential integrate-and-fire neuron."""

from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.checks import one_of
from ..core.numerics import limited_exp
from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.quantities import Alias, Positive, Quantity, Real
from ..core.spiking import Spiking
from ..core.state import State, register_state, zeros_state
from ..core.upstroke import ExponentialUpstroke
from ..integrators import RK4
from ..surrogates import ATan
from .presets import NAUD_2008


@register_state
class AdExState(NamedTuple):
    """v: membrane potential, mV; w: adaptation current, pA; both [B, *];
    refractory, adaptation and noise as in LIF, () if absent.
    """

    v: Tensor
    w: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


class AdEx(Spiking, integrator=RK4(), surrogate=ATan(slope=0.1), dt=0.1):
    r"""Adaptive exponential integrate-and-fire neuron.

    .. math::
        C \dot v &= -g_L (v - E_L) + g_L \Delta_T\, e^{(v - V_T) / \Delta_T} - w + I \\
        \tau_w \dot w &= a (v - E_L) - w \\
        v \ge v_{peak} &: \text{ spike, } v \leftarrow v_{reset},\ w \leftarrow w + b

    Within every stage of the integrator v is clipped at ``v_peak`` in both equations and the exponent is bounded, so
    that an overshoot of the upstroke does not leak into w. RK4 is the default, for at 0.1 ms its error is below that of
    the grid on which spikes lie; ExponentialEuler is stable at any step and first order.

    Args:
        C: membrane capacitance, pF.
        g_L: leak conductance, nS.
        E_L: leak reversal potential, mV.
        V_T: threshold of a slow ramp, mV.
        Delta_T: sharpness of the spike onset, mV.
        tau_w: time constant of the adaptation, ms.
        a: sub-threshold adaptation, nS; negative values let w amplify a depolarisation.
        b: adaptation per spike, pA.
        v_peak: where the upstroke is cut and the spike counted, mV; the threshold ``v_th`` of the base class.
        v_reset: potential after a spike, mV.
        t_ref: refractory period, ms, a whole number of steps, during which w goes on.

    Shape:
        - input: [T, B, \*] current, pA
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``C``, ``g_L``, ``Delta_T``, ``tau_w`` or ``dt`` is not positive, if ``v_peak`` is not above
            ``V_T`` and ``v_reset``, or if ``dt`` is too long for an explicit integrator.

    Source: Brette & Gerstner (2005), J. Neurophysiol. 94:3637, whose regular-spiking values are the defaults.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> cell = tdn.AdEx.preset("adaptation")
        >>> spikes = cell(torch.full((1000, 1, 1), tdn.NAUD_2008["adaptation"]["current"]))
        >>> spikes.sum().item()
        5.0
    """

    v_peak = Alias("v_th")

    def __init__(
        self,
        *,
        C: Quantity = 281.0,
        g_L: Quantity = 30.0,
        E_L: Quantity = -70.6,
        V_T: Quantity = -50.4,
        Delta_T: Quantity = 2.0,
        tau_w: Quantity = 144.0,
        a: Quantity = 4.0,
        b: Quantity = 80.5,
        v_peak: Quantity = 20.0,
        v_reset: Quantity = -70.6,
        t_ref: float = 0.0,
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(v_th=v_peak, v_reset=v_reset, t_ref=t_ref, unit="mV", **options)
        self.C = Positive(C, unit="pF")
        self.g_L = Positive(g_L, unit="nS")
        self.E_L = Real(E_L, unit="mV")
        self.V_T = Real(V_T, unit="mV")
        self.Delta_T = Positive(Delta_T, unit="mV")
        self.tau_w = Positive(tau_w, unit="ms")
        self.a = Real(a, unit="nS")
        self.b = Real(b, unit="pA")
        self.expect_above("v_peak", self.v_th, "V_T", self.V_T)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "AdEx":
        """One of the eight firing patterns of Naud et al. (2008), Fig. 4.

        Args:
            name: a key of :data:`NAUD_2008`, whose entry also holds the ``current`` (pA) that evokes the pattern.
            changes: any argument of the class, to use instead of the preset's.

        Raises:
            ValueError: if there is no such pattern.
        """
        pattern = NAUD_2008[one_of(cls.__name__, "name", name, *NAUD_2008)]
        return cls(**{**{key: value for key, value in pattern.items() if key != "current"}, **changes})

    def time_constants(self) -> dict[str, Tensor]:
        return {"C / g_L": self.C() / self.g_L()}

    def initial_state(self, x_t: State) -> AdExState:
        return AdExState(w=zeros_state(x_t), **self.initial_terms(x_t, self.E_L()))

    def membrane(self) -> Membrane:
        upstroke = ExponentialUpstroke(self.V_T(), self.Delta_T(), self.C() / self.g_L(), self.v_th())
        return Membrane(gain=1 / self.C(), rest=self.E_L(), upstroke=upstroke)

    def _clip(self, v: Tensor) -> Tensor:
        return torch.minimum(v, self.v_th())

    def derivative(self, x_t: Tensor, state: AdExState) -> AdExState:
        clipped = state._replace(v=self._clip(state.v))
        target, tau = self.relaxation(x_t, clipped)
        return AdExState(v=(target.v - clipped.v) / tau.v, w=(target.w - clipped.w) / tau.w)

    def relaxation(self, x_t: Tensor, state: AdExState) -> tuple[AdExState, AdExState]:
        v = self._clip(state.v)
        upstroke = self.Delta_T() * limited_exp((v - self.V_T()) / self.Delta_T())
        target = AdExState(v=self.E_L() + upstroke + (x_t - state.w) / self.g_L(), w=self.a() * (v - self.E_L()))
        return target, AdExState(v=self.C() / self.g_L(), w=self.tau_w())

    def on_spike(self, spikes: Tensor, state: AdExState) -> AdExState:
        return state._replace(w=state.w + self.b() * spikes)
