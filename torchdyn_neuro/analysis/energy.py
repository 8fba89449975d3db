"""The energy of symmetric networks."""

from collections.abc import Callable

import torch
from torch import Tensor

_NODES = 64


def energy(
    weight: Tensor, potential: Tensor, activation: Callable[[Tensor], Tensor], *, input: Tensor | float = 0.0
) -> Tensor:
    r"""Hopfield's energy of a network with symmetric weights, which falls along every trajectory.

    .. math:: E = -\tfrac{1}{2} \sum_{ij} w_{ij} r_i r_j - \sum_i I_i r_i + \sum_i \int_0^{r_i} F^{-1}(r)\, dr,
        \qquad r = F(u)

    for :math:`\tau \dot u = -u + W F(u) + I`, and for :math:`\tau \dot r = -r + F(W r + I)` with
    :math:`u = F^{-1}(r)`; F rises, time constants may differ. The integral is
    :math:`u F(u) - \int_0^u F(s)\, ds`, up to a constant, with 64 Gauss-Legendre nodes.

    Args:
        weight: [n, n], symmetric.
        potential: u, [..., n].
        activation: F, elementwise.
        input: I, which broadcasts to the potential.

    Returns:
        [...], differentiable.

    Raises:
        ValueError: if the weights are not symmetric, for then there is no energy, or do not fit the potential.

    Source: Hopfield (1984), PNAS 81:3088; Cohen & Grossberg (1983), IEEE Trans. Syst. Man Cybern. 13:815.

    Example:
        >>> energy(torch.zeros(2, 2), torch.tensor([0.0, 1.0]), lambda u: u)
        tensor(0.5000)
    """
    size = potential.shape[-1] if potential.ndim else 0
    if weight.shape != (size, size):
        raise ValueError(
            f"energy: expected weights [{size}, {size}] for a potential {tuple(potential.shape)}, got "
            f"{tuple(weight.shape)}; pass matching ones"
        )
    gap = (weight - weight.mT).detach().abs().amax()
    if gap > 1e-6 * weight.detach().abs().amax():
        raise ValueError(
            f"energy: expected symmetric weights, got entries that differ by {gap.item():.3g} from their counterparts; "
            "pass (W + W.T) / 2: without symmetry no energy falls along all trajectories"
        )
    rate = activation(potential)
    nodes, weights = _gauss_legendre(potential)
    parts = activation(potential.unsqueeze(-1) * (1 + nodes) / 2)
    area = potential / 2 * (parts * weights).sum(-1)
    coupled = -0.5 * (rate * (rate @ weight)).sum(-1)
    return coupled + (potential * rate - area - input * rate).sum(-1)


def _gauss_legendre(like: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [-1, 1], from the eigenvectors of the Jacobi matrix (Golub & Welsch 1969)."""
    k = torch.arange(1, _NODES, dtype=torch.float64)
    beside = k / torch.sqrt(4 * k * k - 1)
    nodes, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return nodes.to(like), (2 * vectors[0] ** 2).to(like)
