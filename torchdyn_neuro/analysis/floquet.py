"""What small deviations from a periodic solution do in one period."""

import math

import torch
from torch import Tensor

from .field import Field
from .fourier import values_at
from .jacobian import jacobian_of


def multipliers(field: Field, states: Tensor, period: Tensor, pieces: int = 400) -> Tensor:
    r"""The Floquet multipliers: the eigenvalues of the solution of :math:`\dot \Phi = J(s(t))\, \Phi` over one period.

    One of them is 1, along the cycle; the cycle attracts where all others are smaller.

    Args:
        field: the field.
        states: at N equally spaced phases, [N, n].
        period: ms.
        pieces: in which the period is solved, each by the Magnus method of order 4.

    Returns:
        [n], complex, the one nearest to 1 first, the others by falling size.

    Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, ch. 1.5; Blanes et al. (2009), Phys. Rep. 470:151.
    """
    pieces = max(pieces, 4 * len(states))
    starts = torch.arange(pieces, dtype=states.dtype, device=states.device) / pieces
    aside = math.sqrt(3) / 6
    early, late = (jacobian_of(field, values_at(states, starts + (0.5 + side) / pieces)) for side in (-aside, aside))
    length = period / pieces
    turn = late @ early - early @ late
    moves = torch.linalg.matrix_exp(length / 2 * (early + late) + math.sqrt(3) / 12 * length**2 * turn)
    while len(moves) > 1:
        if len(moves) % 2:
            moves = torch.cat([moves, torch.eye(moves.shape[-1], dtype=moves.dtype, device=moves.device)[None]])
        moves = moves[1::2] @ moves[::2]
    values = torch.linalg.eigvals(moves[0])
    size = values.detach().abs()
    along = (values.detach() - 1).abs().argmin()
    order = torch.where(torch.arange(len(size), device=size.device) == along, torch.inf, size).argsort(descending=True)
    return values[order]
