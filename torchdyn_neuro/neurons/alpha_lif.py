"""The leaky integrate-and-fire neuron with an alpha-shaped synaptic current."""

import math
from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.numerics import mean_decay, mean_ramp_decay
from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.quantities import Positive, Quantity
from ..core.spiking import Spiking
from ..core.state import State, register_state, zeros_state
from ..integrators import Exact
from ..surrogates import ATan


@register_state
class AlphaLIFState(NamedTuple):
    """v: membrane potential; s: synaptic current; h: its source; all [B, *];
    refractory, adaptation and noise as in LIF, () if absent.
    """

    v: Tensor
    s: Tensor
    h: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


class AlphaLIF(Spiking, integrator=Exact(), surrogate=ATan()):
    r"""Leaky integrate-and-fire neuron with an alpha-shaped synaptic current.

    .. math::
        \tau_m \dot v = -(v - v_{rest}) + R s, \qquad \tau_s \dot s = -s + h, \qquad
        \tau_s \dot h = -h + \tau_s e \sum_k w_k \delta(t - t_k)

    An arrival of weight ``w`` gives the current :math:`w \frac{t}{\tau_s} e^{1 - t / \tau_s}`, with peak ``w`` at
    :math:`\tau_s`. The joint solution is exact for arrivals on the grid, whatever ``dt``, and finite in value and
    gradient at ``tau_syn = tau_mem``.

    Args:
        tau_mem: membrane time constant, ms.
        tau_syn: synaptic time constant, ms.
        R: membrane resistance, potential per unit of current.
        v_rest: resting potential, mV or dimensionless.
        v_th: threshold, as ``v_rest``.
        v_reset: potential after a spike with ``reset="value"``; ``v_rest`` if omitted.
        reset: ``"subtract"``, ``"value"``, ``"zero"`` or ``"none"``.
        t_ref: refractory period, ms, a whole number of steps; the synaptic current goes on in it.

    Shape:
        - input: [T, B, \*] weighted spikes
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if a time constant or ``dt`` is not positive, if the reset does not lead below the threshold, or if
            ``dt`` is too long for an explicit integrator.

    Source: Rotter & Diesmann (1999), Biol. Cybern. 81:381; Rall (1967), J. Neurophysiol. 30:1138. The defaults are
    round values, from no source.
    """

    def __init__(
        self,
        tau_mem: Quantity = 20.0,
        tau_syn: Quantity = 5.0,
        *,
        R: Quantity = 1.0,
        v_rest: Quantity = 0.0,
        v_th: Quantity = 1.0,
        v_reset: Quantity | None = None,
        reset: str = "subtract",
        t_ref: float = 0.0,
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(v_th=v_th, v_reset=v_reset, v_rest=v_rest, reset=reset, t_ref=t_ref, **options)
        self.tau_mem = Positive(tau_mem, unit="ms")
        self.tau_syn = Positive(tau_syn, unit="ms")
        self.R = Positive(R)

    def initial_state(self, x_t: State) -> AlphaLIFState:
        return AlphaLIFState(
            s=zeros_state(x_t),
            h=zeros_state(x_t),
            **self.initial_terms(x_t, self.v_rest()),
        )

    def membrane(self) -> Membrane:
        return Membrane(gain=self.R() / self.tau_mem(), rest=self.v_rest())

    def relaxation(self, x_t: Tensor, state: AlphaLIFState) -> tuple[AlphaLIFState, AlphaLIFState]:
        target = AlphaLIFState(v=self.v_rest() + self.R() * state.s, s=state.h, h=torch.zeros_like(state.h))
        return target, AlphaLIFState(v=self.tau_mem(), s=self.tau_syn(), h=self.tau_syn())

    def flow(self, x_t: Tensor, state: AlphaLIFState, dt: float) -> AlphaLIFState:
        a, b = dt / self.tau_mem(), dt / self.tau_syn()
        current = state.s * mean_decay(a, b) + b * state.h * mean_ramp_decay(a, b)
        v = self.v_rest() + (state.v - self.v_rest()) * torch.exp(-a) + self.R() * a * current
        decay = torch.exp(-b)
        return state._replace(v=v, s=(state.s + b * state.h) * decay, h=state.h * decay)

    def arrive(self, x_t: Tensor, state: AlphaLIFState) -> AlphaLIFState:
        return state._replace(h=state.h + math.e * x_t)
