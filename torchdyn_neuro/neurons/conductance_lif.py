"""The leaky integrate-and-fire neuron with conductance synapses."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from torch import Tensor

from ..core.integrator import Integrator
from ..core.parts import Adaptation, Noise
from ..core.quantities import Constrained, Positive, Quantity, Real
from ..core.spiking import SpikingODE
from ..core.state import State, full_state, register_state
from ..core.surrogate import Surrogate
from ..integrators import ExponentialEuler
from ..surrogates import ATan
from ..synapses.receptors import AMPA, GABA_A, Receptor, ReceptorSet


@register_state
class ConductanceLIFState(NamedTuple):
    """v: membrane potential, [B, *], mV; refractory: steps left; adaptation, noise: of the parts; () if absent."""

    v: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


class ConductanceLIF(SpikingODE):
    r"""Leaky integrate-and-fire neuron with any set of conductance synapses.

    .. math:: C \dot v = g_L (E_L - v) + \sum_r g_r B_r(v) (E_r - v), \qquad v \ge v_{th}: \text{ spike and reset}

    With :math:`B_r = 1`, the magnesium block of an NMDA receptor apart. The conductances are held over a step: those of
    its middle make the default integrator second order. It relaxes to :math:`v_\infty = \sum g E / \sum g` with
    :math:`\tau = C / \sum g`, so that ``v`` stays between the lowest and the highest :math:`E` for any ``dt``.
    A negative conductance counts as none.

    Args:
        receptors: the receptors of the membrane, e.g. ``[AMPA(), NMDA(), GABA_A()]``, or the :class:`ReceptorSet` of
            the synapse that feeds it; AMPA (0 mV) and GABA_A (-70 mV) if omitted.
        C: capacitance, pF.
        g_L: leak conductance, nS.
        E_L: leak reversal (resting) potential, mV.
        v_th: threshold, mV.
        v_reset: potential after a spike, mV.
        t_ref: refractory period, ms.
        surrogate: slope of the spike in the backward pass, per mV.
        detach_reset: cut the gradient through the reset; otherwise the surrogate acts below threshold too.
        integrator: how a step is taken.
        adaptation: what slows the cell down after its spikes, pA or mV; none if omitted.
        noise: what makes it random, pA or mV; none if omitted.
        dt: time step, ms.

    Shape:
        - input: a tuple of conductances [T, B, \*], nS, one per receptor in their order; or one tensor with the
          receptors on an axis of their own behind the batch, [T, B, receptors, \*]; with a single receptor, the tensor
          [T, B, \*] of its conductance
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        TypeError: if a receptor has no reversal potential.
        ValueError: if a capacitance or conductance is not positive, if the reset does not lead below the threshold, if
            ``dt`` is too long for an explicit integrator, or if the input does not have one conductance per receptor.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 5.8; the membrane of Vogels & Abbott (2005), J.
    Neurosci. 25:10786, where ``t_ref`` is 5 ms and inhibition reverses at -80 mV.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> excitation, inhibition = torch.full((100, 1, 3), 5.0), torch.full((100, 1, 3), 2.0)
        >>> tdn.ConductanceLIF()((excitation, inhibition)).sum(0)
        tensor([[9., 9., 9.]])
    """

    def __init__(
        self,
        receptors: Iterable[Receptor] | None = None,
        *,
        C: Quantity = 200.0,
        g_L: Quantity = 10.0,
        E_L: Quantity = -60.0,
        v_th: Quantity = -50.0,
        v_reset: Quantity = -60.0,
        t_ref: float = 0.0,
        surrogate: Surrogate = ATan(slope=0.2),
        detach_reset: bool = True,
        integrator: Integrator = ExponentialEuler(),
        adaptation: Adaptation | None = None,
        noise: Noise | None = None,
        dt: float = 1.0,
    ):
        super().__init__(
            v_th=v_th,
            v_reset=v_reset,
            t_ref=t_ref,
            surrogate=surrogate,
            detach_reset=detach_reset,
            integrator=integrator,
            adaptation=adaptation,
            noise=noise,
            dt=dt,
        )
        self.receptors = ReceptorSet.of([AMPA(), GABA_A()] if receptors is None else receptors)
        self.C = Positive(C, unit="pF")
        self.g_L = Positive(g_L, unit="nS")
        self.E_L = Real(E_L, unit="mV")
        self.check_stability()

    def quantities(self) -> Iterator[tuple[str, Constrained]]:
        yield from super().quantities()
        for name, quantity in self.receptors.membrane_quantities():
            yield f"receptors.{name}", quantity

    def initial_state(self, x_t: State) -> ConductanceLIFState:
        frame = self.receptors.split(x_t, axis=1)
        return ConductanceLIFState(
            v=full_state(frame, self.E_L()),
            refractory=self.initial_refractory(frame),
            **self.initial_parts(frame),
        )

    def current_gain(self) -> Tensor:
        return 1 / self.C()

    def resting_potential(self) -> Tensor:
        return self.E_L()

    def relaxation(self, x_t: tuple[Tensor, ...], state: ConductanceLIFState) -> tuple[State, State]:
        g_syn, pull = self.receptors.total(x_t, state.v)
        g = self.g_L() + g_syn
        return ConductanceLIFState(v=(self.g_L() * self.E_L() + pull) / g), ConductanceLIFState(v=self.C() / g)

    def prepare(self, x: State) -> State:
        return super().prepare(self.receptors.split(x, axis=2))

    def step(self, x_t: State, state: ConductanceLIFState) -> tuple[Tensor, ConductanceLIFState]:
        return super().step(self.receptors.split(x_t, axis=1), state)

    def check_input(self, x: State) -> None:
        self.receptors.check_conductances(type(self).__name__, x)
        super().check_input(self.receptors.split(x, axis=2))

    def check_stability(self) -> None:
        super().check_stability()
        self._check_time_constant("C / g_L", (self.C() / self.g_L()).detach())
