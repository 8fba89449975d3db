"""The resonate-and-fire neuron."""

import math
from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.quantities import Positive, Quantity
from ..core.spiking import Spiking
from ..core.state import State, register_state, zeros_state
from ..integrators import Exact
from ..surrogates import ATan


@register_state
class ResonateAndFireState(NamedTuple):
    """v, u: imaginary (voltage-like) and real (current-like) part, [B, *];
    refractory, adaptation and noise as in LIF, () if absent.
    """

    v: Tensor
    u: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


class ResonateAndFire(Spiking, integrator=Exact(), surrogate=ATan()):
    r"""Resonate-and-fire neuron: a damped oscillator that spikes most readily for input at its own frequency.

    .. math::
        \dot z = \left(-\tfrac{1}{\tau} + i \omega\right) z + I, \qquad z = u + i v, \qquad
        v \ge v_{th}: \text{ spike and } z \leftarrow i v_{reset}

    The default integrator is exact for an input that is constant over the step. The current of an adaptation or a noise
    is held over the step, and moves ``u``, as the input does.

    Args:
        tau: time constant of the damping, ms.
        frequency: frequency of the oscillation, Hz.
        v_th: threshold of the imaginary part.
        v_reset: imaginary part after a spike; the real part becomes 0.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``tau``, ``frequency`` or ``dt`` is not positive, if ``v_reset`` is not below ``v_th``, or if
            ``dt`` is too long for an explicit integrator.

    Source: Izhikevich (2001), Neural Networks 14:883, where the reset leads to the threshold itself,
    :math:`z \leftarrow i`; the defaults are round values.
    """

    def __init__(
        self,
        tau: Quantity = 20.0,
        frequency: Quantity = 40.0,
        *,
        v_th: Quantity = 1.0,
        v_reset: Quantity = 0.0,
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(v_th=v_th, v_reset=v_reset, **options)
        self.tau = Positive(tau, unit="ms")
        self.frequency = Positive(frequency, unit="Hz")

    def initial_state(self, x_t: State) -> ResonateAndFireState:
        return ResonateAndFireState(u=zeros_state(x_t), **self.initial_terms(x_t, 0.0))

    def membrane(self) -> Membrane:
        # A current moves u, as the input does, and only through it v.
        return Membrane(gain=torch.ones_like(self.v_th()), rest=torch.zeros_like(self.v_th()), leaks=False)

    def omega(self) -> Tensor:
        """The angular frequency, rad/ms."""
        return 2e-3 * math.pi * self.frequency()

    def derivative(self, x_t: Tensor, state: ResonateAndFireState) -> ResonateAndFireState:
        omega = self.omega()
        return ResonateAndFireState(
            v=omega * state.u - state.v / self.tau(), u=x_t - state.u / self.tau() - omega * state.v
        )

    def flow(self, x_t: Tensor, state: ResonateAndFireState, dt: float) -> ResonateAndFireState:
        leak, omega = 1 / self.tau(), self.omega()
        # The fixed point -I / (-leak + i omega), around which the state turns and shrinks.
        scale = x_t / (leak * leak + omega * omega)
        u_rest, v_rest = leak * scale, omega * scale
        u, v = state.u - u_rest, state.v - v_rest
        decay = torch.exp(-dt * leak)
        cosine, sine = decay * torch.cos(omega * dt), decay * torch.sin(omega * dt)
        return state._replace(v=v_rest + sine * u + cosine * v, u=u_rest + cosine * u - sine * v)

    def on_spike(self, spikes: Tensor, state: ResonateAndFireState) -> ResonateAndFireState:
        reset_spikes = spikes.detach() if self.threshold.detach_reset else spikes
        return state._replace(u=(1 - reset_spikes) * state.u)
