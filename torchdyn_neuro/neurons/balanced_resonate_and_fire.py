"""The balanced resonate-and-fire neuron."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.options import SpikingOptions
from ..core.quantities import Constrained, NonNegative, Positive, Quantity, readable
from ..core.spiking import Spiking, Threshold
from ..core.state import State, register_state, zeros_state
from ..integrators import Exact
from ..surrogates import ATan


@register_state
class BalancedResonateAndFireState(NamedTuple):
    """u, v: real and imaginary part of the oscillator; q: refractory trace; all [B, *]."""

    u: Tensor
    v: Tensor
    q: Tensor


@dataclass(frozen=True)
class RaisedThreshold(Threshold):
    """A threshold of the real part, raised by the refractory trace; nothing is reset."""

    movable: ClassVar[bool] = False

    def meet(
        self,
        cell: "BalancedResonateAndFire",
        before: BalancedResonateAndFireState,
        path: Sequence[BalancedResonateAndFireState],
    ) -> Tensor:
        return self.surrogate(path[-1].u - cell.v_th() - before.q)


class BalancedResonateAndFire(Spiking, integrator=Exact(), surrogate=ATan()):
    r"""Balanced resonate-and-fire neuron: no reset; a spike raises threshold and damping for a while.

    .. math::
        z \leftarrow z + dt \left((d + i \omega) z + I\right), \quad z = u + i v, \qquad
        d = \frac{\sqrt{1 - (dt\, \omega)^2} - 1}{dt} - b - k q, \qquad
        u \ge v_{th} + q: \text{ spike}, \qquad q \leftarrow q e^{-dt / \tau_q} + s

    The first term of the damping ``d`` is where this step, explicit Euler, neither grows nor shrinks; it makes
    the map stable for every :math:`b > 0`. The model is this map: it is not offered with other integrators.

    It starts at zero. It takes no parts: ``q`` is its adaptation, and noise is added to its input, which the map takes
    as it comes.

    Args:
        frequency: frequency of the oscillation, Hz.
        b: damping without spikes, 1/ms.
        k: damping that a spike adds, 1/ms.
        tau_q: time constant of the refractory trace, ms.
        v_th: threshold of the real part.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if a parameter is out of its bounds or if :math:`dt\, \omega \ge 1`, or if ``v_init`` is given.
        TypeError: if the surrogate is none.

    Source: Higuchi et al. (2024), Balanced resonate-and-fire neurons, ICML; there dt = 0.01 s, :math:`k = 1/\text{s}`
    and the trace keeps 0.9 in a step. With a step of 1 ms, ``k`` and ``tau_q`` do per step what they do there;
    ``frequency`` and ``b`` are round values of the size used there per step.
    """

    def __init__(
        self,
        frequency: Quantity = 20.0,
        *,
        b: Quantity = 0.02,
        k: Quantity = 0.01,
        tau_q: Quantity = 10.0,
        v_th: Quantity = 1.0,
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(v_th=v_th, reset="none", rule=RaisedThreshold, **options)
        self.frequency = Positive(frequency, unit="Hz")
        self.b = Positive(b, unit="1/ms")
        self.k = NonNegative(k, unit="1/ms")
        self.tau_q = Positive(tau_q, unit="ms")

    def accept(self, name: str, quantity: Constrained) -> None:
        if name == "frequency" and readable(quantity) and (2e-3 * math.pi * self.dt * quantity.start >= 1).any():
            raise ValueError(
                f"BalancedResonateAndFire: expected dt times 2 pi frequency below 1, got {quantity.start.max():g} Hz "
                f"with a step of {self.dt:g} ms; lower dt"
            )

    def _check(self) -> None:
        super()._check()
        if self.v_init is not None:
            raise ValueError(
                "BalancedResonateAndFire: expected no v_init, for its potential is the real part u of an oscillator, "
                "got one; start scan or step from a state with another u"
            )

    def initial_state(self, x_t: State) -> BalancedResonateAndFireState:
        return BalancedResonateAndFireState(u=zeros_state(x_t), v=zeros_state(x_t), q=zeros_state(x_t))

    def flow(self, x_t: Tensor, state: BalancedResonateAndFireState, dt: float) -> BalancedResonateAndFireState:
        # The factors of the step, in units of dt. A frequency that learning moves past the bound stays at it in value.
        turn = 2e-3 * math.pi * dt * self.frequency()
        turn = turn - (turn - 0.999).detach().clamp(min=0)
        kept = torch.sqrt(1 - turn * turn) - dt * (self.b() + self.k() * state.q)
        u = kept * state.u - turn * state.v + dt * x_t
        v = kept * state.v + turn * state.u
        return BalancedResonateAndFireState(u, v, state.q * torch.exp(-dt / self.tau_q()))

    def on_spike(self, spikes: Tensor, state: BalancedResonateAndFireState) -> BalancedResonateAndFireState:
        return state._replace(q=state.q + spikes)
