"""The energy of symmetric networks."""

from collections.abc import Callable

import torch
from torch import Tensor

from .placed import check_placed
from .solve import known

_NODES, _MOST_PIECES = 64, 64


def energy(
    weight: Tensor, potential: Tensor, activation: Callable[[Tensor], Tensor], *, input: Tensor | float = 0.0
) -> Tensor:
    r"""Hopfield's energy of a network with symmetric weights, which falls along every trajectory.

    .. math:: E = -\tfrac{1}{2} \sum_{ij} w_{ij} r_i r_j - \sum_i I_i r_i + \sum_i \int_0^{r_i} F^{-1}(r)\, dr,
        \qquad r = F(u)

    for :math:`\tau \dot u = -u + W F(u) + I`, and for :math:`\tau \dot r = -r + F(W r + I)` with
    :math:`u = F^{-1}(r)`; F rises, time constants may differ. The integral is
    :math:`u F(u) - \int_0^u F(s)\, ds`, up to a constant, by Gauss-Legendre in pieces that are halved until the sum of
    64 nodes in each changes no more, or there are 64 of them (of a kink, an error of about 1e-7).

    Args:
        weight: [n, n], symmetric.
        potential: u, [..., n].
        activation: F, elementwise.
        input: I, which broadcasts to the potential.

    Returns:
        [...], differentiable.

    Raises:
        TypeError: if they are no tensors of one type, float32 or float64.
        ValueError: if the weights are not symmetric, for then there is no energy; if weights, input or what the
            activation gives do not fit the potential, or lie on several devices or on none with numbers.

    Source: Hopfield (1984), PNAS 81:3088; Cohen & Grossberg (1983), IEEE Trans. Syst. Man Cybern. 13:815.

    Example:
        >>> energy(torch.zeros(2, 2), torch.tensor([0.0, 1.0]), lambda u: u)
        tensor(0.5000)
    """
    _check(weight, potential, input)
    gap = (weight - weight.mT).detach().abs().amax()
    if known(gap.isnan() | (gap > 1e-6 * weight.detach().abs().amax())):
        raise ValueError(
            f"energy: expected symmetric weights, got entries that differ by {gap.item():.3g} from their counterparts; "
            "pass (W + W.T) / 2: without symmetry no energy falls along all trajectories"
        )
    try:
        rate = activation(potential)
    except RuntimeError as error:
        raise TypeError(
            f"energy: expected an activation of {potential.dtype}, got one that fails on it ({error}); convert it with "
            ".to()"
        ) from error
    if not isinstance(rate, Tensor) or rate.shape != potential.shape or rate.dtype != potential.dtype:
        got = f"{rate.dtype} {tuple(rate.shape)}" if isinstance(rate, Tensor) else type(rate).__name__
        raise ValueError(
            f"energy: expected an activation that gives a rate for each potential, {potential.dtype} "
            f"{tuple(potential.shape)}, got {got}; pass a function of each element, in that type"
        )
    area = potential * _mean_up_to(activation, potential)
    coupled = -0.5 * (rate * (rate @ weight)).sum(-1)
    return coupled + (potential * rate - area - input * rate).sum(-1)


def _check(weight: Tensor, potential: Tensor, input: Tensor | float) -> None:
    given = [weight, potential, *([input] if isinstance(input, Tensor) else [])]
    for value in given:
        if not isinstance(value, Tensor) or value.dtype not in (torch.float32, torch.float64):
            got = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"energy: expected tensors of float32 or float64, got {got}; convert it")
    if len({value.dtype for value in given}) > 1:
        kinds = ", ".join(str(value.dtype) for value in given)
        raise TypeError(f"energy: expected weights, potential and input of one type, got {kinds}; convert them")
    check_placed("energy", "weights, potential and input", given)
    size = potential.shape[-1] if potential.ndim else 0
    if not size or weight.shape != (size, size):
        wanted = f"weights [{size}, {size}]" if size else "a unit at least, potential [..., n] and weights [n, n],"
        raise ValueError(
            f"energy: expected {wanted} for a potential {tuple(potential.shape)}, got {tuple(weight.shape)}; pass "
            "matching ones"
        )
    try:
        fits = not isinstance(input, Tensor) or torch.broadcast_shapes(input.shape, potential.shape)[-1] == size
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"energy: expected an input that broadcasts to the potential {tuple(potential.shape)}, got "
            f"{tuple(input.shape)}; pass one value, or one for each unit"
        )


def _mean_up_to(activation: Callable[[Tensor], Tensor], potential: Tensor) -> Tensor:
    """The mean of F from 0 to each potential."""
    nodes, weights = _gauss_legendre(potential)
    shares, pieces = (1 + nodes) / 2, 1
    before: Tensor | None = None
    while True:
        mean = (activation(potential.unsqueeze(-1) * shares) * weights).sum(-1) / (2 * pieces)
        allowed = 64 * torch.finfo(mean.dtype).eps
        if before is not None and known(((mean - before).abs() <= allowed * (1 + mean.abs())).all()):
            return mean
        if pieces == _MOST_PIECES:
            return mean
        before, pieces = mean, 2 * pieces
        shares, weights = torch.cat([shares / 2, (1 + shares) / 2]), torch.cat([weights, weights])


def _gauss_legendre(like: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights on [-1, 1], from the eigenvectors of the Jacobi matrix (Golub & Welsch 1969)."""
    k = torch.arange(1, _NODES, dtype=torch.float64)
    beside = k / torch.sqrt(4 * k * k - 1)
    nodes, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return nodes.to(like), (2 * vectors[0] ** 2).to(like)
