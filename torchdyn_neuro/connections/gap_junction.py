"""Electrical synapses."""

from typing import ClassVar

import torch
from torch import Tensor

from ..core.inputs import check_tensor
from ..core.quantities import NonNegative, Parametrized, Quantity


class GapJunction(Parametrized):
    r"""Electrical coupling: current flows from the neuron of higher potential to the one of lower.

    .. math:: I_i = \sum_j g_{ij} (v_j - v_i), \qquad g_{ij} = g_{ji}

    ``Network(LIF(integrator=RK4()), GapJunction(n), source="v")`` couples neurons by it.

    Args:
        g: conductance: one between all pairs of neurons; one per neuron, of which each pair takes the mean; or a matrix
            [neurons, neurons], of which the symmetric part counts; nS, or dimensionless with dimensionless neurons.
        neurons: number of neurons.

    Shape:
        - input: [..., neurons] potentials
        - output: [..., neurons] currents, which sum to zero

    Raises:
        ValueError: if a conductance is negative, or the matrix is not [neurons, neurons]; from ``forward`` for another
            number of neurons.
        TypeError: from ``forward`` for what is no tensor.

    Source: Gerstner et al. (2014), Neuronal Dynamics, ch. 3; Lewis & Rinzel (2003), J. Comput. Neurosci. 14:283.

    Example:
        >>> import torch
        >>> GapJunction(2, g=0.5)(torch.tensor([[-60.0, -70.0]]))
        tensor([[-5.,  5.]])
    """

    plain_linear: ClassVar[bool] = True
    """Whether the layer is x W^T + b and nothing else, so that it fuses."""

    bias: ClassVar[None] = None

    def __init__(self, neurons: int, g: Quantity = 0.1):
        super().__init__()
        self.neurons = neurons
        self.g = NonNegative(g, unit="nS")
        if self.g.start.shape not in {(), (neurons,), (neurons, neurons)}:
            raise ValueError(
                f"GapJunction: expected one conductance, one per neuron or a matrix ({neurons}, {neurons}), got shape "
                f"{tuple(self.g.start.shape)}; pass one per pair"
            )

    def check_input(self, v: Tensor) -> None:
        """Raise if ``v`` is no tensor of these neurons."""
        check_tensor("GapJunction", v, f"potentials [..., {self.neurons}]")
        if v.ndim == 0 or v.shape[-1] != self.neurons:
            raise ValueError(
                f"GapJunction: expected potentials [..., {self.neurons}], got shape {tuple(v.shape)}; build it for "
                "that number of neurons"
            )

    @property
    def weight(self) -> Tensor:
        """The currents as a matrix of the potentials, [neurons, neurons]."""
        g = self.g().expand(self.neurons, self.neurons)
        g = (g + g.mT) / 2
        return g - torch.diag(g.sum(0))

    def forward(self, v: Tensor) -> Tensor:
        self.check_input(v)
        g = self.g()
        if g.ndim == 0:
            return g * (v.sum(-1, keepdim=True) - self.neurons * v)
        g = g.expand(self.neurons, self.neurons)
        g = (g + g.mT) / 2
        # The matrix is symmetric, so it may stand on either side.
        return v @ g - v * g.sum(0)
