"""The dense connection with short-term plasticity per synapse."""

import math

import torch
from torch import Tensor, nn

from ..core.dynamics import Dynamics
from ..core.layers import check_one_clock
from ..core.state import State, map_state, widen


class PlasticLinear(Dynamics):
    r"""Dense connection in which each synapse has its own short-term plasticity.

    .. math:: y_i = \sum_j w_{ij}\, r_{ij}, \qquad r_{ij} = \text{what spike } j \text{ releases at synapse } ij

    Where all synapses of a presynaptic neuron share the parameters, ``Chain(TsodyksMarkram(...), nn.Linear(...))``
    gives the same with one state per neuron instead of one per synapse.

    Args:
        in_features: number of presynaptic neurons.
        out_features: number of postsynaptic neurons.
        plasticity: dynamics that act on each synapse by themselves, such as a :class:`TsodyksMarkram`, whose parameters
            broadcast to [out_features, in_features].

    Shape:
        - input: [T, B, \*, in_features] spikes
        - state: that of the plasticity, [B, \*, out_features, in_features]
        - output: [T, B, \*, out_features]

    Raises:
        TypeError: if ``plasticity`` is no :class:`Dynamics`.
        ValueError: from ``scan`` and ``forward`` if the last axis does not hold ``in_features`` neurons.

    Source: Markram, Wang & Tsodyks (1998), PNAS 95:5323: one axon, different dynamics at its synapses.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> U = tdn.Learned(torch.rand(2, 3) * 0.5 + 0.1)
        >>> tdn.PlasticLinear(3, 2, tdn.TsodyksMarkram(U))(torch.ones(10, 4, 3)).shape
        torch.Size([10, 4, 2])
    """

    pointwise = None
    _keeps_width = False

    def __init__(self, in_features: int, out_features: int, plasticity: Dynamics):
        if not isinstance(plasticity, Dynamics):
            raise TypeError(
                f"PlasticLinear: expected dynamics, got {type(plasticity).__name__}; pass e.g. TsodyksMarkram()"
            )
        super().__init__(dt=plasticity.dt)
        self.in_features, self.out_features = in_features, out_features
        self.plasticity = plasticity
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features).uniform_(-bound, bound))

    def per_synapse(self, x: Tensor) -> Tensor:
        """The presynaptic values [..., in] at each synapse, [..., out, in]."""
        return torch.broadcast_tensors(x.unsqueeze(-2), self.weight)[0]

    def initial_state(self, x_t: State) -> State:
        return self.plasticity.initial_state(self.per_synapse(x_t))

    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        released, state = self.plasticity.step(self.per_synapse(widen(x_t)), state)
        return (released * self.weight).sum(-1).to(x_t.dtype), state

    def check_input(self, x: State) -> None:
        super().check_input(x)
        check_one_clock(self)
        if x.shape[-1] != self.in_features:
            raise ValueError(
                f"PlasticLinear: expected an input [T, B, *, {self.in_features}], got shape {tuple(x.shape)}; "
                "the last axis holds the presynaptic neurons"
            )
        self.plasticity.check_input(map_state(self.per_synapse, x))

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, {super().extra_repr()}"
