"""The exponential integrate-and-fire neuron."""

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.numerics import limited_exp
from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.quantities import Alias, Positive, Quantity, Real
from ..core.spiking import Spiking
from ..core.state import State, register_state
from ..core.upstroke import ExponentialUpstroke
from ..integrators import RK4
from ..surrogates import ATan


@register_state
class EIFState(NamedTuple):
    """v: membrane potential, mV, [B, *]; refractory: steps left; adaptation, noise: of the parts; () if absent."""

    v: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


class EIF(Spiking, integrator=RK4(), surrogate=ATan(slope=0.1), dt=0.1):
    r"""Exponential integrate-and-fire neuron: the fast sodium current as an exponential of the potential.

    .. math::
        \tau_m \dot v = -(v - v_{rest}) + \Delta_T\, e^{(v - V_T) / \Delta_T} + R I, \qquad
        v \ge v_{peak}: \text{ spike, } v \leftarrow v_{reset}

    Its rheobase is :math:`R I = V_T - v_{rest} - \Delta_T`; above, the period is
    :math:`t_{ref} + \int_{v_{reset}}^{v_{peak}} dv / \dot v`.

    Within every stage of the integrator v is clipped at ``v_peak`` and the exponent is bounded. RK4 is the default, for
    at 0.1 ms it resolves the upstroke; ExponentialEuler takes the leak exactly, is stable at any step and first order.

    Args:
        tau_mem: membrane time constant, ms.
        v_rest: potential towards which the leak pulls, mV.
        V_T: threshold of a slow ramp, at which the exponential has slope one, mV.
        Delta_T: sharpness of the spike onset, mV.
        R: membrane resistance, mV per unit of input.
        v_peak: where the upstroke is cut and the spike counted, mV; the threshold ``v_th`` of the base class.
        v_reset: potential after a spike, mV.
        t_ref: refractory period, ms, a whole number of steps.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``tau_mem``, ``Delta_T``, ``R`` or ``dt`` is not positive, if ``v_peak`` is not above ``V_T`` and
            ``v_reset``, or if ``dt`` is too long for an explicit integrator.

    Source: Fourcaud-Trocme et al. (2003), J. Neurosci. 23:11628, whose values for the Wang-Buzsaki model of an
    interneuron are the defaults; ``v_peak`` is a round value, far enough up not to matter.
    """

    v_peak = Alias("v_th")

    def __init__(
        self,
        tau_mem: Quantity = 10.0,
        *,
        v_rest: Quantity = -65.0,
        V_T: Quantity = -59.9,
        Delta_T: Quantity = 3.48,
        R: Quantity = 1.0,
        v_peak: Quantity = 0.0,
        v_reset: Quantity = -68.0,
        t_ref: float = 1.7,
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(v_th=v_peak, v_reset=v_reset, t_ref=t_ref, unit="mV", **options)
        self.tau_mem = Positive(tau_mem, unit="ms")
        self.v_rest = Real(v_rest, unit="mV")
        self.V_T = Real(V_T, unit="mV")
        self.Delta_T = Positive(Delta_T, unit="mV")
        self.R = Positive(R)
        self.expect_above("v_peak", self.v_th, "V_T", self.V_T)

    def initial_state(self, x_t: State) -> EIFState:
        return EIFState(**self.initial_terms(x_t, self.v_rest()))

    def membrane(self) -> Membrane:
        upstroke = ExponentialUpstroke(self.V_T(), self.Delta_T(), self.tau_mem(), self.v_th())
        return Membrane(gain=self.R() / self.tau_mem(), rest=self.v_rest(), upstroke=upstroke)

    def _clip(self, v: Tensor) -> Tensor:
        return torch.minimum(v, self.v_th())

    def derivative(self, x_t: Tensor, state: EIFState) -> EIFState:
        clipped = state._replace(v=self._clip(state.v))
        target, tau = self.relaxation(x_t, clipped)
        return EIFState(v=(target.v - clipped.v) / tau.v)

    def relaxation(self, x_t: Tensor, state: EIFState) -> tuple[EIFState, EIFState]:
        v = self._clip(state.v)
        upstroke = self.Delta_T() * limited_exp((v - self.V_T()) / self.Delta_T())
        return EIFState(v=self.v_rest() + upstroke + self.R() * x_t), EIFState(v=self.tau_mem())
