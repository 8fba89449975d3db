"""The leaky integrate-and-fire neuron with an exponential synaptic current."""

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.numerics import mean_decay
from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.quantities import Positive, Quantity
from ..core.spiking import Spiking
from ..core.state import State, register_state, zeros_state
from ..integrators import Exact
from ..surrogates import ATan


@register_state
class SynapticLIFState(NamedTuple):
    """v: membrane potential; s: synaptic current; both [B, *];
    refractory, adaptation and noise as in LIF, () if absent.
    """

    v: Tensor
    s: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


class SynapticLIF(Spiking, integrator=Exact(), surrogate=ATan()):
    r"""Current-based (second-order) leaky integrate-and-fire neuron.

    .. math::
        \tau_m \dot v = -(v - v_{rest}) + R s, \qquad
        \tau_s \dot s = -s + \tau_s \sum_k w_k \delta(t - t_k)

    Within a step the membrane integrates the current that was there at its start, then the arrivals are added: the
    joint solution is exact for arrivals on the grid, whatever ``dt``, and finite at ``tau_syn = tau_mem``:

    .. math::
        v \leftarrow v_{rest} + (v - v_{rest}) e^{-a} + R s\, a\, \frac{e^{-b} - e^{-a}}{a - b},
        \qquad a = dt / \tau_m,\ b = dt / \tau_s

    Args:
        tau_mem: membrane time constant, ms.
        tau_syn: synaptic time constant, ms.
        R: membrane resistance, potential per unit of current.
        v_rest: resting potential, mV or dimensionless.
        v_th: threshold, as ``v_rest``.
        v_reset: potential after a spike with ``reset="value"``; ``v_rest`` if omitted.
        reset: ``"subtract"``, ``"value"``, ``"zero"`` or ``"none"``.
        t_ref: refractory period, ms, a whole number of steps; the synaptic current goes on decaying in it.

    Shape:
        - input: [T, B, \*] weighted spikes; each adds its weight to ``s``
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if a time constant or ``dt`` is not positive, if the reset does not lead below the threshold, or if
            ``dt`` is too long for an explicit integrator.

    Source: Rotter & Diesmann (1999), Biol. Cybern. 81:381; Dayan & Abbott (2001), Theoretical Neuroscience, ch. 5. The
    defaults are round values, from no source.
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

    def initial_state(self, x_t: State) -> SynapticLIFState:
        return SynapticLIFState(
            s=zeros_state(x_t),
            **self.initial_terms(x_t, self.v_rest()),
        )

    def membrane(self) -> Membrane:
        return Membrane(gain=self.R() / self.tau_mem(), rest=self.v_rest())

    def relaxation(self, x_t: Tensor, state: SynapticLIFState) -> tuple[SynapticLIFState, SynapticLIFState]:
        target = SynapticLIFState(v=self.v_rest() + self.R() * state.s, s=torch.zeros_like(state.s))
        return target, SynapticLIFState(v=self.tau_mem(), s=self.tau_syn())

    def flow(self, x_t: Tensor, state: SynapticLIFState, dt: float) -> SynapticLIFState:
        a, b = dt / self.tau_mem(), dt / self.tau_syn()
        v = self.v_rest() + (state.v - self.v_rest()) * torch.exp(-a) + self.R() * state.s * (a * mean_decay(a, b))
        return state._replace(v=v, s=state.s * torch.exp(-b))

    def arrive(self, x_t: Tensor, state: SynapticLIFState) -> SynapticLIFState:
        return state._replace(s=state.s + x_t)
