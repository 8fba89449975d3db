"""The quadratic integrate-and-fire neuron."""

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.numerics import limited_square
from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.quantities import Alias, Positive, Quantity, Real
from ..core.spiking import Spiking
from ..core.state import State, register_state
from ..core.upstroke import QuadraticUpstroke
from ..integrators import RK4
from ..surrogates import ATan


@register_state
class QIFState(NamedTuple):
    """v: membrane potential, mV, [B, *]; refractory: steps left; adaptation, noise: of the parts; () if absent."""

    v: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


class QIF(Spiking, integrator=RK4(), surrogate=ATan(slope=0.1), dt=0.1):
    r"""Quadratic integrate-and-fire neuron, the normal form of a saddle-node bifurcation onto firing.

    .. math::
        \tau_m \dot v = k (v - v_{rest})(v - v_c) + R I, \qquad
        v \ge v_{peak}: \text{ spike, } v \leftarrow v_{reset}

    With :math:`\bar v = (v_{rest} + v_c) / 2` and :math:`\delta = R I - k (v_c - v_{rest})^2 / 4 > 0` the period is
    :math:`t_{ref} + \frac{\tau_m}{\sqrt{k \delta}} \left[\arctan\frac{\sqrt k (v - \bar v)}{\sqrt\delta}
    \right]_{v_{reset}}^{v_{peak}}`; with :math:`\delta < 0` the neuron rests.

    Within every stage of the integrator v is clipped at ``v_peak``, and far below rest, where a step of the integrator
    could not resolve the parabola, its tangent takes its place: an overshoot makes no spike. RK4 is the default, for at
    0.1 ms it resolves the upstroke; the equation is no linear relaxation, so ExponentialEuler does not apply.

    Args:
        tau_mem: membrane time constant, ms.
        v_rest: resting potential without input, mV.
        v_c: critical potential, above which the neuron fires without input, mV.
        k: sharpness, 1/mV.
        R: membrane resistance, mV per unit of input.
        v_peak: where the upstroke is cut and the spike counted, mV; the threshold ``v_th`` of the base class.
        v_reset: potential after a spike, mV.
        t_ref: refractory period, ms, a whole number of steps.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``tau_mem``, ``k``, ``R`` or ``dt`` is not positive, if ``v_c`` is not above ``v_rest`` or
            ``v_peak`` not above ``v_c`` and ``v_reset``, if ``dt`` is too long or the integrator does not apply.

    Source: Latham et al. (2000), J. Neurophysiol. 83:808; Gerstner et al. (2014), Neuronal Dynamics, ch. 5.3. The
    defaults are round values, from no source.
    """

    v_peak = Alias("v_th")

    def __init__(
        self,
        tau_mem: Quantity = 10.0,
        *,
        v_rest: Quantity = -65.0,
        v_c: Quantity = -50.0,
        k: Quantity = 0.1,
        R: Quantity = 1.0,
        v_peak: Quantity = 0.0,
        v_reset: Quantity = -65.0,
        t_ref: float = 0.0,
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(v_th=v_peak, v_reset=v_reset, t_ref=t_ref, unit="mV", **options)
        self.tau_mem = Positive(tau_mem, unit="ms")
        self.v_rest = Real(v_rest, unit="mV")
        self.v_c = Real(v_c, unit="mV")
        self.k = Positive(k, unit="1/mV")
        self.R = Positive(R)
        self.expect_above("v_c", self.v_c, "v_rest", self.v_rest)
        self.expect_above("v_peak", self.v_th, "v_c", self.v_c)

    def initial_state(self, x_t: State) -> QIFState:
        return QIFState(**self.initial_terms(x_t, self.v_rest()))

    def membrane(self) -> Membrane:
        middle, width = (self.v_rest() + self.v_c()) / 2, self.v_c() - self.v_rest()
        upstroke = QuadraticUpstroke(middle, width, self.v_th())
        return Membrane(gain=self.R() / self.tau_mem(), rest=self.v_rest(), upstroke=upstroke)

    def derivative(self, x_t: Tensor, state: QIFState) -> QIFState:
        middle, half = (self.v_rest() + self.v_c()) / 2, (self.v_c() - self.v_rest()) / 2
        # The slope of the parabola is -1 / step at this distance from its middle.
        lowest = -self.tau_mem() / (2 * self.k()) * self.steps_per_ms
        from_middle = torch.minimum(state.v, self.v_th()) - middle
        parabola = self.k() * (limited_square(from_middle, lowest) - half * half)
        return QIFState(v=(parabola + self.R() * x_t) / self.tau_mem())
