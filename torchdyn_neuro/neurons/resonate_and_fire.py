"""The resonate-and-fire neuron."""

import math
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.integrator import Integrator
from ..core.parts import Adaptation, Noise
from ..core.quantities import Positive, Quantity
from ..core.spiking import SpikingODE
from ..core.state import State, register_state, zeros_state
from ..core.surrogate import Surrogate
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


class ResonateAndFire(SpikingODE):
    r"""Resonate-and-fire neuron: a damped oscillator that spikes most readily for input at its own frequency.

    .. math::
        \dot z = \left(-\tfrac{1}{\tau} + i \omega\right) z + I, \qquad z = u + i v, \qquad
        v \ge v_{th}: \text{ spike and } z \leftarrow i v_{reset}

    The default integrator is exact for an input that is constant over the step. Adaptation and noise attach if they
    act on the threshold; a current moves ``u``, not ``v``.

    Args:
        tau: time constant of the damping, ms.
        frequency: frequency of the oscillation, Hz.
        v_th: threshold of the imaginary part.
        v_reset: imaginary part after a spike; the real part becomes 0.
        surrogate: slope of the spike in the backward pass.
        detach_reset: cut the gradient through the reset; otherwise the surrogate acts below threshold too.
        integrator: how a step is taken; exact by default.
        adaptation: an adaptation of the threshold, none if omitted.
        noise: escape noise, none if omitted.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``tau``, ``frequency`` or ``dt`` is not positive, if ``v_reset`` is not below ``v_th``, or if
            ``dt`` is too long for an explicit integrator.

    Source: Izhikevich (2001), Neural Networks 14:883, where the reset leads to the threshold itself,
    :math:`z \leftarrow i`; the defaults are round values.
    """

    refused_parts = MappingProxyType({"current": "a current moves its real part u, not the potential v"})

    def __init__(
        self,
        tau: Quantity = 20.0,
        frequency: Quantity = 40.0,
        *,
        v_th: Quantity = 1.0,
        v_reset: Quantity = 0.0,
        surrogate: Surrogate = ATan(),
        detach_reset: bool = True,
        integrator: Integrator = Exact(),
        adaptation: Adaptation | None = None,
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        super().__init__(
            v_th=v_th,
            v_reset=v_reset,
            surrogate=surrogate,
            detach_reset=detach_reset,
            integrator=integrator,
            adaptation=adaptation,
            noise=noise,
            dt=dt,
        )
        self.tau = Positive(tau, unit="ms")
        self.frequency = Positive(frequency, unit="Hz")

    def initial_state(self, x_t: State) -> ResonateAndFireState:
        return ResonateAndFireState(v=zeros_state(x_t), u=zeros_state(x_t), **self.initial_parts(x_t))

    def resting_potential(self) -> Tensor:
        return torch.zeros_like(self.v_th())

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
        reset_spikes = spikes.detach() if self.detach_reset else spikes
        return state._replace(u=(1 - reset_spikes) * state.u)
