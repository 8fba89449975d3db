"""The two-compartment neuron: a soma that spikes and a dendrite with receptors."""

from collections.abc import Iterable
from typing import NamedTuple, Unpack

from torch import Tensor

from ..core.ode import Membrane
from ..core.options import SpikingOptions
from ..core.quantities import NonNegative, Positive, Quantity, Real
from ..core.spiking import Spiking
from ..core.state import State, leaves, register_state
from ..integrators import ExponentialEuler
from ..surrogates import ATan
from ..synapses.receptors import NMDA, Receptor, ReceptorSet


@register_state
class TwoCompartmentInput(NamedTuple):
    """What drives a :class:`TwoCompartment`; each part is [T, B, *] or, where there is none, ``()``.

    soma, dendrite: currents, pA; conductances: one per receptor of the dendrite, nS.
    """

    soma: State = ()
    dendrite: State = ()
    conductances: State = ()


@register_state
class TwoCompartmentState(NamedTuple):
    """v, v_dendrite: potentials of soma and dendrite, [B, *], mV.

    refractory: steps left; adaptation, noise: of the parts of the soma; () if absent.
    """

    v: Tensor
    v_dendrite: Tensor
    refractory: State = ()
    adaptation: State = ()
    noise: State = ()


class TwoCompartment(Spiking, integrator=ExponentialEuler(), surrogate=ATan(slope=0.2)):
    r"""Two coupled compartments: a leaky integrate-and-fire soma and a dendrite with receptors.

    .. math::
        C_s \dot v &= g_s (E_L - v) + g_c (v_d - v) + I_s, \qquad v \ge v_{th}: \text{ spike and reset} \\
        C_d \dot v_d &= g_d (E_L - v_d) + g_c (v - v_d) + I_d + \sum_r g_r B_r(v_d) (E_r - v_d)

    The magnesium block :math:`B` of the dendritic NMDA receptors makes the dendrite regenerative: together with an
    outward conductance (GABA_B) it has a rest and a plateau at one and the same input. Below threshold the soma follows
    a steady dendrite with the attenuation :math:`(v - E_L) / (v_d - E_L) = g_c / (g_c + g_s)`. The default integrator
    relaxes each compartment towards the weighted mean of what it is coupled to: stable for any step, and first
    order; ``ExponentialMidpoint()`` is second order. Both start at
    ``v_init``, or at ``E_L``.

    Args:
        receptors: the receptors of the dendrite, or the :class:`ReceptorSet` of the synapse that feeds it; NMDA if
            omitted.
        C_soma, C_dendrite: capacitances, pF.
        g_soma, g_dendrite: leak conductances, nS.
        g_c: coupling conductance, nS.
        E_L: leak reversal (resting) potential of both, mV.
        v_th: threshold of the soma, mV.
        v_reset: potential of the soma after a spike, mV.
        t_ref: refractory period of the soma, ms; the dendrite goes on in it.

    Shape:
        - input: :class:`TwoCompartmentInput` of sequences [T, B, \*]; a tensor alone is the current into the dendrite,
          pA. A negative conductance counts as none
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        TypeError: if a receptor has no reversal potential.
        ValueError: if a capacitance or leak is not positive, if the reset does not lead below the threshold, if ``dt``
            is too long for an explicit integrator, or if the input does not have one conductance per receptor.

    Source: Gerstner et al. (2014), Neuronal Dynamics, ch. 3.2; Jahr & Stevens (1990), J. Neurosci. 10:3178; Pinsky &
    Rinzel (1994), J. Comput. Neurosci. 1:39 (soma-dendrite coupling). The defaults are round values, from no source.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> glutamate = torch.full((100, 1, 2), 80.0)
        >>> tdn.TwoCompartment()(tdn.TwoCompartmentInput(conductances=(glutamate,))).sum(0)
        tensor([[9., 9.]])
    """

    def __init__(
        self,
        receptors: Iterable[Receptor] | None = None,
        *,
        C_soma: Quantity = 200.0,
        C_dendrite: Quantity = 100.0,
        g_soma: Quantity = 10.0,
        g_dendrite: Quantity = 5.0,
        g_c: Quantity = 10.0,
        E_L: Quantity = -70.0,
        v_th: Quantity = -50.0,
        v_reset: Quantity = -60.0,
        t_ref: float = 0.0,
        **options: Unpack[SpikingOptions],
    ):
        super().__init__(v_th=v_th, v_reset=v_reset, t_ref=t_ref, unit="mV", **options)
        self.receptors = ReceptorSet.of([NMDA()] if receptors is None else receptors)
        self.C_soma = Positive(C_soma, unit="pF")
        self.C_dendrite = Positive(C_dendrite, unit="pF")
        self.g_soma = Positive(g_soma, unit="nS")
        self.g_dendrite = Positive(g_dendrite, unit="nS")
        self.g_c = NonNegative(g_c, unit="nS")
        self.E_L = Real(E_L, unit="mV")

    def initial_state(self, x_t: State) -> TwoCompartmentState:
        started = self.initial_terms(x_t, self.E_L())
        return TwoCompartmentState(v_dendrite=started["v"].clone(), **started)

    def membrane(self) -> Membrane:
        return Membrane(gain=1 / self.C_soma(), rest=self.E_L())

    def relaxation(self, x_t: State, state: TwoCompartmentState) -> tuple[TwoCompartmentState, TwoCompartmentState]:
        drive = _as_input(x_t)
        g_soma = self.g_soma() + self.g_c()
        pull_soma = self.g_soma() * self.E_L() + self.g_c() * state.v_dendrite
        if isinstance(drive.soma, Tensor):
            pull_soma = pull_soma + drive.soma
        g_dendrite = self.g_dendrite() + self.g_c()
        pull_dendrite = self.g_dendrite() * self.E_L() + self.g_c() * state.v
        if isinstance(drive.dendrite, Tensor):
            pull_dendrite = pull_dendrite + drive.dendrite
        if drive.conductances:
            g_syn, pull_syn = self.receptors.total(drive.conductances, state.v_dendrite)
            g_dendrite, pull_dendrite = g_dendrite + g_syn, pull_dendrite + pull_syn
        target = TwoCompartmentState(v=pull_soma / g_soma, v_dendrite=pull_dendrite / g_dendrite)
        return target, TwoCompartmentState(v=self.C_soma() / g_soma, v_dendrite=self.C_dendrite() / g_dendrite)

    def time_constants(self) -> dict[str, Tensor]:
        g_c = self.g_c()
        return {
            "C / g of the soma": self.C_soma() / (self.g_soma() + g_c),
            "C / g of the dendrite": self.C_dendrite() / (self.g_dendrite() + g_c),
        }

    def _read(self, x: State, axis: int) -> State:
        if callable(x) or axis == 1:
            return x
        owner = type(self).__name__
        if isinstance(x, tuple) and not isinstance(x, TwoCompartmentInput):
            raise TypeError(
                f"{owner}: expected a tensor or a TwoCompartmentInput, got a {type(x).__name__}; name its parts"
            )
        drive = _as_input(x)
        if not leaves(drive):
            raise ValueError(f"{owner}: expected at least one input, got none; give soma, dendrite or conductances")
        if drive.conductances:
            self.receptors.check_conductances(owner, drive.conductances)
        # No set: shapes of what is exported cannot be hashed.
        shapes = [tuple(leaf.shape) for leaf in leaves(drive) if isinstance(leaf, Tensor)]
        if any(shape != shapes[0] for shape in shapes):
            raise ValueError(f"{owner}: expected inputs of one shape [T, B, *], got {shapes}; expand them to one")
        return drive


def _as_input(x: State) -> TwoCompartmentInput:
    return x if isinstance(x, TwoCompartmentInput) else TwoCompartmentInput(dendrite=x)
