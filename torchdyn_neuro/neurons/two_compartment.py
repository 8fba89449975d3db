"""The two-compartment neuron: a soma that spikes and a dendrite with receptors."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from torch import Tensor

from ..core.integrator import Integrator
from ..core.parts import Adaptation, Noise
from ..core.quantities import Constrained, NonNegative, Positive, Quantity, Real
from ..core.spiking import SpikingODE
from ..core.state import State, full_state, leaves, register_state
from ..core.surrogate import Surrogate
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


class TwoCompartment(SpikingODE):
    r"""Two coupled compartments: a leaky integrate-and-fire soma and a dendrite with receptors.

    .. math::
        C_s \dot v &= g_s (E_L - v) + g_c (v_d - v) + I_s, \qquad v \ge v_{th}: \text{ spike and reset} \\
        C_d \dot v_d &= g_d (E_L - v_d) + g_c (v - v_d) + I_d + \sum_r g_r B_r(v_d) (E_r - v_d)

    The magnesium block :math:`B` of the dendritic NMDA receptors makes the dendrite regenerative: together with an
    outward conductance (GABA_B) it has a rest and a plateau at one and the same input. Below threshold the soma follows
    a steady dendrite with the attenuation :math:`(v - E_L) / (v_d - E_L) = g_c / (g_c + g_s)`. The default integrator
    relaxes each compartment towards the weighted mean of what it is coupled to: stable for any step.

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
        surrogate: slope of the spike in the backward pass, per mV.
        detach_reset: cut the gradient through the reset; otherwise the surrogate acts below threshold too.
        integrator: how a step is taken.
        adaptation: what slows the cell down after its spikes, pA or mV; none if omitted.
        noise: what makes it random, pA or mV; none if omitted.
        dt: time step, ms.

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
        self.receptors = ReceptorSet.of([NMDA()] if receptors is None else receptors)
        self.C_soma = Positive(C_soma, unit="pF")
        self.C_dendrite = Positive(C_dendrite, unit="pF")
        self.g_soma = Positive(g_soma, unit="nS")
        self.g_dendrite = Positive(g_dendrite, unit="nS")
        self.g_c = NonNegative(g_c, unit="nS")
        self.E_L = Real(E_L, unit="mV")
        self.check_stability()

    def quantities(self) -> Iterator[tuple[str, Constrained]]:
        yield from super().quantities()
        for name, quantity in self.receptors.membrane_quantities():
            yield f"receptors.{name}", quantity

    def initial_state(self, x_t: State) -> TwoCompartmentState:
        v = full_state(x_t, self.E_L())
        return TwoCompartmentState(
            v=v, v_dendrite=v.clone(), refractory=self.initial_refractory(x_t), **self.initial_parts(x_t)
        )

    def current_gain(self) -> Tensor:
        return 1 / self.C_soma()

    def resting_potential(self) -> Tensor:
        return self.E_L()

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

    def check_input(self, x: State) -> None:
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
        shapes = {tuple(leaf.shape) for leaf in leaves(drive) if isinstance(leaf, Tensor)}
        if len(shapes) > 1:
            raise ValueError(
                f"{owner}: expected inputs of one shape [T, B, *], got {sorted(shapes)}; expand them to one"
            )
        super().check_input(drive)

    def check_stability(self) -> None:
        super().check_stability()
        coupling = self.g_c()
        for name, C, g in (("soma", self.C_soma(), self.g_soma()), ("dendrite", self.C_dendrite(), self.g_dendrite())):
            self._check_time_constant(f"C / g of the {name}", (C / (g + coupling)).detach())


def _as_input(x: State) -> TwoCompartmentInput:
    return x if isinstance(x, TwoCompartmentInput) else TwoCompartmentInput(dendrite=x)
