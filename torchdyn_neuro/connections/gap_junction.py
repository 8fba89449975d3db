"""Electrical synapses."""

from typing import NamedTuple

from torch import Tensor, nn

from ..core.dynamics import Dynamics
from ..core.quantities import NonNegative, Parametrised, Quantity
from ..core.state import State, first_leaf, register_state


class GapJunction(Parametrised):
    r"""Electrical coupling: current flows from the neuron of higher potential to the one of lower.

    .. math:: I_i = \sum_j g_{ij} (v_j - v_i), \qquad g_{ij} = g_{ji}

    Args:
        g: conductance: one between all pairs of neurons; one per neuron, of which each pair takes the mean; or a matrix
            [neurons, neurons], of which the symmetric part counts; nS, or dimensionless with dimensionless neurons.
        neurons: number of neurons.

    Shape:
        - input: [..., neurons] potentials
        - output: [..., neurons] currents, which sum to zero

    Raises:
        ValueError: if a conductance is negative, or the matrix is not [neurons, neurons].

    Source: Gerstner et al. (2014), Neuronal Dynamics, ch. 3; Lewis & Rinzel (2003), J. Comput. Neurosci. 14:283.

    Example:
        >>> import torch
        >>> GapJunction(2, g=0.5)(torch.tensor([[-60.0, -70.0]]))
        tensor([[-5.,  5.]])
    """

    def __init__(self, neurons: int, g: Quantity = 0.1):
        super().__init__()
        self.neurons = neurons
        self.g = NonNegative(g, unit="nS")
        if self.g.start.shape not in {(), (neurons,), (neurons, neurons)}:
            raise ValueError(
                f"GapJunction: expected one conductance, one per neuron or a matrix ({neurons}, {neurons}), got shape "
                f"{tuple(self.g.start.shape)}; pass one per pair"
            )

    def forward(self, v: Tensor) -> Tensor:
        g = self.g()
        if g.ndim == 0:
            return g * (v.sum(-1, keepdim=True) - self.neurons * v)
        g = g.expand(self.neurons, self.neurons)
        g = (g + g.mT) / 2
        # The matrix is symmetric, so it may stand on either side.
        return v @ g - v * g.sum(0)


@register_state
class CoupledState(NamedTuple):
    """neuron: state of the neurons."""

    neuron: State


class Coupled(Dynamics):
    r"""Neurons that feel each other's potential, not only each other's spikes.

    .. math:: (y_t, s_t) = \mathrm{neuron}(x_t + \mathrm{junction}(v_{t-1}), s_{t-1})

    Args:
        neuron: the dynamics, whose state has the field ``field``.
        junction: maps potentials [B, \*] to currents, such as :class:`GapJunction`.
        field: the field of the state that the junction sees.

    Shape:
        - input: [T, B, \*] current
        - output: [T, B, \*], that of the neuron

    Raises:
        TypeError: if ``neuron`` is no :class:`Dynamics`.
        ValueError: from ``scan`` and ``forward`` if the state of the neuron has no such field.

    Source: Lewis & Rinzel (2003), J. Comput. Neurosci. 14:283.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> tdn.Coupled(tdn.LIF(), tdn.GapJunction(4))(torch.ones(10, 2, 4)).shape
        torch.Size([10, 2, 4])
    """

    pointwise = False

    def __init__(self, neuron: Dynamics, junction: nn.Module, *, field: str = "v"):
        if not isinstance(neuron, Dynamics):
            raise TypeError(f"Coupled: expected a Dynamics as neuron, got {type(neuron).__name__}; pass e.g. LIF()")
        super().__init__(dt=neuron.dt)
        self.neuron = neuron
        self.junction = junction
        self.field = field

    def initial_state(self, x_t: State) -> CoupledState:
        return CoupledState(self.neuron.initial_state(x_t))

    def step(self, x_t: State, state: CoupledState) -> tuple[Tensor, CoupledState]:
        current = self.junction(getattr(state.neuron, self.field))
        drive = x_t + current.to(first_leaf(x_t).dtype)
        y_t, neuron = self.neuron.step(drive, state.neuron)
        return y_t, CoupledState(neuron)

    def check_input(self, x: State) -> None:
        super().check_input(x)
        self.neuron.check_input(x)
        fields = getattr(self.neuron.initial_state(first_leaf(x)[0]), "_fields", ())
        if self.field not in fields:
            raise ValueError(
                f"Coupled: expected a field {self.field!r} in the state of {type(self.neuron).__name__}, got "
                f"{', '.join(fields) or 'none'}; pass one of them as field"
            )
