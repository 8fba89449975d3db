"""The leaky integrate-and-fire neuron with an excitatory and an inhibitory synaptic current."""

from typing import NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.numerics import mean_decay
from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.pair import split_pair
from ..core.quantities import Positive, Quantity, Real
from ..core.spiking import Spiking
from ..core.state import State, first_leaf, register_state, zeros_state
from ..integrators import Exact
from ..surrogates import ATan


@register_state
class TwoSynapseLIFState(NamedTuple):
    """v: membrane potential; s_exc, s_inh: synaptic currents; all [B, *];
    refractory, adaptation and noise as in LIF, () if absent.
    """

    v: Tensor
    s_exc: Tensor
    s_inh: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


class TwoSynapseLIF(Spiking, integrator=Exact(), surrogate=ATan()):
    r"""Current-based leaky integrate-and-fire neuron whose excitation and inhibition decay with times of their own.

    .. math::
        \tau_m \dot v = -(v - v_{rest}) + R (s_E + s_I + I_e), \qquad
        \tau_X \dot s_X = -s_X + \tau_X \sum_k w_k \delta(t - t_k), \quad X = E, I

    The joint solution over a step is exact for arrivals on the grid and finite at equal time constants, as in
    :class:`SynapticLIF`; with equal ones it is that cell. It is the ``iaf_psc_exp`` of NEST, on the grid.

    Args:
        tau_mem: membrane time constant, ms.
        tau_exc, tau_inh: time constants of the excitatory and of the inhibitory current, ms.
        R: membrane resistance, potential per unit of current.
        I_e: constant current.
        v_rest: resting potential without it, mV or dimensionless.
        v_th: threshold, as ``v_rest``.
        v_reset: potential after a spike with ``reset="value"``; ``v_rest`` if omitted.
        reset: ``"subtract"``, ``"value"``, ``"zero"`` or ``"none"``.
        t_ref: refractory period, ms, a whole number of steps; the synaptic currents go on decaying in it.

    Shape:
        - input: a tuple (excitation, inhibition) of weighted spikes [T, B, \*], the weights of inhibition negative; or
          one tensor with the two on an axis of their own behind the batch, [T, B, 2, \*]
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if a time constant or ``dt`` is not positive, if the reset does not lead below the threshold, if
            ``dt`` is too long for an explicit integrator, or if the input does not have two parts.

    Source: Rotter & Diesmann (1999), Biol. Cybern. 81:381; Diesmann, Gewaltig & Aertsen (2001), Neurocomputing 38:565.
    The defaults are round values, from no source.
    """

    def __init__(
        self,
        tau_mem: Quantity = 20.0,
        tau_exc: Quantity = 5.0,
        tau_inh: Quantity = 10.0,
        *,
        R: Quantity = 1.0,
        I_e: Quantity = 0.0,
        v_rest: Quantity = 0.0,
        v_th: Quantity = 1.0,
        v_reset: Quantity | None = None,
        reset: str = "subtract",
        t_ref: float = 0.0,
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(v_th=v_th, v_reset=v_reset, v_rest=v_rest, reset=reset, t_ref=t_ref, **options)
        self.tau_mem = Positive(tau_mem, unit="ms")
        self.tau_exc = Positive(tau_exc, unit="ms")
        self.tau_inh = Positive(tau_inh, unit="ms")
        self.R = Positive(R)
        self.I_e = Real(I_e)

    def initial_state(self, x_t: State) -> TwoSynapseLIFState:
        frame = first_leaf(self._read(x_t, axis=1))
        return TwoSynapseLIFState(
            s_exc=zeros_state(frame), s_inh=zeros_state(frame), **self.initial_terms(frame, self.v_rest())
        )

    def membrane(self) -> Membrane:
        return Membrane(gain=self.R() / self.tau_mem(), rest=self.v_rest())

    def relaxation(self, x_t: State, state: TwoSynapseLIFState) -> tuple[TwoSynapseLIFState, TwoSynapseLIFState]:
        still = torch.zeros_like(state.s_exc)
        v = self.v_rest() + self.R() * (state.s_exc + state.s_inh + self.I_e())
        return TwoSynapseLIFState(v, still, still), TwoSynapseLIFState(self.tau_mem(), self.tau_exc(), self.tau_inh())

    def flow(self, x_t: State, state: TwoSynapseLIFState, dt: float) -> TwoSynapseLIFState:
        a, b, c = dt / self.tau_mem(), dt / self.tau_exc(), dt / self.tau_inh()
        rest = self.v_rest() + self.R() * self.I_e()
        brought = state.s_exc * mean_decay(a, b) + state.s_inh * mean_decay(a, c)
        v = rest + (state.v - rest) * torch.exp(-a) + self.R() * a * brought
        return state._replace(v=v, s_exc=state.s_exc * torch.exp(-b), s_inh=state.s_inh * torch.exp(-c))

    def arrive(self, x_t: State, state: TwoSynapseLIFState) -> TwoSynapseLIFState:
        excitation, inhibition = x_t
        return state._replace(s_exc=state.s_exc + excitation, s_inh=state.s_inh + inhibition)

    def step(self, x_t: State, state: TwoSynapseLIFState) -> tuple[Tensor, TwoSynapseLIFState]:
        return super().step(self._read(x_t, axis=1), state)

    def _read(self, x: State, axis: int) -> State:
        return split_pair(type(self).__name__, "(excitation, inhibition)", x, axis)
