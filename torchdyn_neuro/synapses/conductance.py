"""Conductance synapses: from arriving spikes to the conductances of a set of receptors."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.checks import one_of
from ..core.dynamics import Dynamics
from ..core.numerics import mean_decay, mean_response
from ..core.quantities import Constrained
from ..core.state import State, first_leaf, map_state, register_state, widen, zeros_state
from .double_exponential import peak_factor
from .receptors import AMPA, GABA_A, Receptor, ReceptorSet


@register_state
class ConductanceSynapseState(NamedTuple):
    """g: conductance of each receptor; h: what drives it up, () where it opens at once; all [B, *]."""

    g: tuple[Tensor, ...]
    h: tuple[State, ...]


class ConductanceSynapse(Dynamics):
    r"""Turns spikes into the conductances of any set of receptors, which a conductance-based neuron takes.

    .. math:: \tau_d \dot g = -g + h, \qquad \tau_r \dot h = -h + \tau_r J \sum_k w_k \delta(t - t_k)

    with :math:`J` such that a spike of weight :math:`w` raises :math:`g` to a peak of :math:`w`; a receptor that opens
    at once follows :math:`\tau_d \dot g = -g + \tau_d \sum_k w_k \delta(t - t_k)`. The solution between spikes is
    exact.

    The neuron holds a conductance over its step, which begins where the step of the synapse ends (see the picture in
    :class:`ExponentialSynapse`). With ``output="mean"`` it gets the charge of the equation (for an AMPA spike of 1 nS,
    2 nS ms; the value at the end of a step of 1 ms carries 2.54), and its potential is of second order in ``dt``; with
    ``"end"`` it is of first order. The magnesium block and the reversal potentials act in the neuron, which knows the
    potential: give both the same receptors.

    Args:
        receptors: receptors, in the order of the inputs, or a :class:`ReceptorSet`.
        output: ``"end"`` (the value at the end of a step) or ``"mean"`` (the exact mean over the step that follows).
        dt: time step, ms.

    Shape:
        - input: a tuple with the weighted spikes [T, B, \*] of each receptor, in nS, weights not negative; or one
          tensor [T, B, receptors, \*], for example behind ``nn.Unflatten(-1, (receptors, neurons))``; with a single
          receptor, the tensor [T, B, \*] of its spikes
        - output: a tuple with the conductance [T, B, \*] of each receptor, nS

    Raises:
        TypeError: if something among the receptors is none and hence has no reversal potential.
        ValueError: if there is no receptor, ``dt`` is not positive, ``output`` is neither of the two, or the input
            does not have one part per receptor, all of one shape.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 5.8; Destexhe, Mainen & Sejnowski (1998), in Methods in
    Neuronal Modeling, ch. 1.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> synapse = tdn.ConductanceSynapse([tdn.AMPA(), tdn.NMDA(), tdn.GABA_A()])
        >>> g_ampa, g_nmda, g_gaba = synapse(torch.ones(10, 2, 3, 8))
        >>> g_nmda.shape
        torch.Size([10, 2, 8])
    """

    def __init__(
        self, receptors: ReceptorSet | Iterable[Receptor] | None = None, *, output: str = "end", dt: float = 1.0
    ):
        super().__init__(dt=dt)
        self.receptors = ReceptorSet.of([AMPA(), GABA_A()] if receptors is None else receptors)
        self.output = one_of("ConductanceSynapse", "output", output, "end", "mean")

    def initial_state(self, x_t: State) -> ConductanceSynapseState:
        parts = self.receptors.split(x_t, 1)
        slow = [receptor.tau_rise is not None for receptor in self.receptors]
        return ConductanceSynapseState(
            g=tuple(zeros_state(part) for part in parts),
            h=tuple(zeros_state(part) if rises else () for part, rises in zip(parts, slow, strict=True)),
        )

    def step(self, x_t: State, state: ConductanceSynapseState) -> tuple[tuple[Tensor, ...], ConductanceSynapseState]:
        conductances, drives, outputs, mean = [], [], [], self.output == "mean"
        parts = self.receptors.split(x_t, 1)
        for receptor, arrivals, g, h in zip(self.receptors, map(widen, parts), *state, strict=True):
            tau_decay = receptor.tau_decay()
            b = self.dt / tau_decay
            g = g * torch.exp(-b)
            if receptor.tau_rise is None:
                g = g + arrivals
                outputs.append(g * (-torch.expm1(-b) / b) if mean else g)
            else:
                tau_rise = receptor.tau_rise()
                a = self.dt / tau_rise
                g = g + h * (b * mean_decay(a, b))
                h = h * torch.exp(-a) + arrivals * peak_factor(tau_rise, tau_decay)
                outputs.append(g * (-torch.expm1(-b) / b) + h * (b * mean_response(a, b)) if mean else g)
            conductances.append(g)
            drives.append(h)
        dtype = first_leaf(x_t).dtype
        output = map_state(lambda g: g.to(dtype), tuple(outputs))
        return output, ConductanceSynapseState(tuple(conductances), tuple(drives))

    def _read(self, x: State, axis: int) -> State:
        if isinstance(x, Tensor) and x.ndim < axis:
            return x  # no batch and neurons: refused by what every input must be
        if axis == 2:
            self.receptors.check_conductances("ConductanceSynapse", x)
        return self.receptors.split(x, axis)

    def quantities(self) -> Iterator[tuple[str, Constrained]]:
        for receptor in self.receptors:
            for name, quantity in receptor.named_children():
                yield f"{receptor.name}.{name}", quantity

    def extra_repr(self) -> str:
        return f"output={self.output!r}, {super().extra_repr()}"
