"""The leaky integrate-and-fire neuron with conductance synapses."""

from collections.abc import Iterable
from typing import NamedTuple, Unpack

from torch import Tensor

from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.quantities import Positive, Quantity, Real
from ..core.spiking import Spiking
from ..core.state import State, register_state
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


class ConductanceLIF(Spiking, integrator=ExponentialEuler(), surrogate=ATan(slope=0.2)):
    r"""Leaky integrate-and-fire neuron with any set of conductance synapses.

    .. math:: C \dot v = g_L (E_L - v) + \sum_r g_r B_r(v) (E_r - v), \qquad v \ge v_{th}: \text{ spike and reset}

    With :math:`B_r = 1`, the magnesium block of an NMDA receptor apart. The conductances are held over a step: their
    mean, ``ConductanceSynapse(output="mean")``, makes the default integrator second order. With NMDA it is first order,
    for it takes the block from the start of the step; ``ExponentialMidpoint()`` and ``Heun()`` are second order there.
    It relaxes to :math:`v_\infty = \sum g E / \sum g` with :math:`\tau = C / \sum g`, so that ``v`` stays between
    the lowest and the highest :math:`E` for any ``dt``. A negative conductance counts as none.

    Args:
        receptors: the receptors of the membrane, e.g. ``[AMPA(), NMDA(), GABA_A()]``, or the :class:`ReceptorSet` of
            the synapse that feeds it; AMPA (0 mV) and GABA_A (-70 mV) if omitted.
        C: capacitance, pF.
        g_L: leak conductance, nS.
        E_L: leak reversal (resting) potential, mV.
        v_th: threshold, mV.
        v_reset: potential after a spike, mV.
        t_ref: refractory period, ms, a whole number of steps.

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
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(v_th=v_th, v_reset=v_reset, t_ref=t_ref, unit="mV", **options)
        self.receptors = ReceptorSet.of([AMPA(), GABA_A()] if receptors is None else receptors)
        self.C = Positive(C, unit="pF")
        self.g_L = Positive(g_L, unit="nS")
        self.E_L = Real(E_L, unit="mV")

    def initial_state(self, x_t: State) -> ConductanceLIFState:
        frame = self.receptors.split(x_t, axis=1)
        return ConductanceLIFState(**self.initial_terms(frame, self.E_L()))

    def membrane(self) -> Membrane:
        return Membrane(gain=1 / self.C(), rest=self.E_L())

    def relaxation(self, x_t: tuple[Tensor, ...], state: ConductanceLIFState) -> tuple[State, State]:
        g_syn, pull = self.receptors.total(x_t, state.v)
        g = self.g_L() + g_syn
        return ConductanceLIFState(v=(self.g_L() * self.E_L() + pull) / g), ConductanceLIFState(v=self.C() / g)

    def time_constants(self) -> dict[str, Tensor]:
        return {"C / g_L": self.C() / self.g_L()}

    def step(self, x_t: State, state: ConductanceLIFState) -> tuple[Tensor, ConductanceLIFState]:
        return super().step(self._read(x_t, axis=1), state)

    def _read(self, x: State, axis: int) -> State:
        if callable(x) or (isinstance(x, Tensor) and x.ndim < axis):
            return x
        if axis == 2:
            self.receptors.check_conductances(type(self).__name__, x)
        return self.receptors.split(x, axis)
