"""Conductance synapses: from arriving spikes to the conductances of a set of receptors."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.dynamics import Dynamics
from ..core.numerics import mean_decay
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
    exact. The magnesium block and the reversal potentials act in the neuron, which knows the potential: give both the
    same receptors.

    Args:
        receptors: receptors, in the order of the inputs, or a :class:`ReceptorSet`.
        dt: time step, ms.

    Shape:
        - input: a tuple with the weighted spikes [T, B, \*] of each receptor, in nS, weights not negative; or one
          tensor [T, B, receptors, \*], for example behind ``nn.Unflatten(-1, (receptors, neurons))``
        - output: a tuple with the conductance [T, B, \*] of each receptor, nS

    Raises:
        TypeError: if something among the receptors is none and hence has no reversal potential.
        ValueError: if there is no receptor, ``dt`` is not positive, or the input does not have one part per receptor.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 5.8; Destexhe, Mainen & Sejnowski (1998), in Methods in
    Neuronal Modeling, ch. 1.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> synapse = tdn.ConductanceSynapse([tdn.AMPA(), tdn.NMDA(), tdn.GABA_A()])
        >>> g_ampa, g_nmda, g_gaba = synapse(torch.ones(10, 2, 3, 8))
        >>> g_nmda.shape
        torch.Size([10, 2, 8])
    """

    def __init__(self, receptors: ReceptorSet | Iterable[Receptor] | None = None, *, dt: float = 1.0):
        super().__init__(dt=dt)
        if receptors is None:
            receptors = (AMPA(), GABA_A())
        self.receptors = receptors if isinstance(receptors, ReceptorSet) else ReceptorSet(receptors)

    def initial_state(self, x_t: State) -> ConductanceSynapseState:
        parts = self.parts(x_t, 1)
        slow = [receptor.tau_rise is not None for receptor in self.receptors]
        return ConductanceSynapseState(
            g=tuple(zeros_state(part) for part in parts),
            h=tuple(zeros_state(part) if rises else () for part, rises in zip(parts, slow, strict=True)),
        )

    def step(self, x_t: State, state: ConductanceSynapseState) -> tuple[tuple[Tensor, ...], ConductanceSynapseState]:
        conductances, drives = [], []
        parts = self.parts(x_t, 1)
        for receptor, arrivals, g, h in zip(self.receptors, map(widen, parts), *state, strict=True):
            tau_decay = receptor.tau_decay()
            b = self.dt / tau_decay
            g = g * torch.exp(-b)
            if not isinstance(h, Tensor):
                g = g + arrivals
            else:
                tau_rise = receptor.tau_rise()
                a = self.dt / tau_rise
                g = g + h * (b * mean_decay(a, b))
                h = h * torch.exp(-a) + arrivals * peak_factor(tau_rise, tau_decay)
            conductances.append(g)
            drives.append(h)
        dtype = first_leaf(x_t).dtype
        output = map_state(lambda g: g.to(dtype), tuple(conductances))
        return output, ConductanceSynapseState(tuple(conductances), tuple(drives))

    def _read(self, x: State, axis: int) -> tuple[Tensor, ...]:
        if axis == 2:
            self._check_parts(x)
        return self.parts(x, axis)

    def parts(self, x: State, axis: int) -> tuple[Tensor, ...]:
        """The input of each receptor, from a tuple or from one tensor with the receptors along ``axis``."""
        return x if isinstance(x, tuple) else x.unbind(axis)

    def _check_parts(self, x: State) -> None:
        got = len(x) if isinstance(x, tuple) else x.shape[2] if x.ndim > 2 else 0
        if got != len(self.receptors) or not all(isinstance(part, Tensor) for part in self.parts(x, 2)):
            raise ValueError(
                f"ConductanceSynapse: expected the input of {len(self.receptors)} receptors "
                f"({', '.join(self.receptors.names)}), got {got}; pass a tuple with one tensor [T, B, *] for each, or "
                "one tensor [T, B, receptors, *]"
            )
        super().check_quantities(self.parts(x, 2)[0])

    def check_quantities(self, x: Tensor) -> None:
        """Nothing yet: ``check_input`` looks at one part, without the axis of the receptors."""

    def quantities(self) -> Iterator[tuple[str, Constrained]]:
        for receptor in self.receptors:
            for name, quantity in receptor.named_children():
                yield f"{receptor.name}.{name}", quantity
