"""Roots of equations, many starts at once."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Equations = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps z [..., m] to residuals [..., m] and their Jacobian [..., m, m]."""


class Roots(NamedTuple):
    """What a search has found.

    z: where it ended, [..., m].
    residual: the largest entry of the equations there, [...].
    converged: whether that is zero as far as the numbers tell, [...].
    """

    z: Tensor
    residual: Tensor
    converged: Tensor


@torch.no_grad()
def solve(equations: Equations, start: Tensor, *, tolerance: float = 1e-9) -> Roots:
    r"""Roots by the method of Levenberg and Marquardt, each row of the batch by itself.

    A step solves :math:`(J^\top J + \mu\, \mathrm{diag}(J^\top J))\, d = -J^\top g`; it is taken where it makes the
    residual smaller, and with :math:`\mu \to 0` becomes Newton's. Where the residual has a minimum above zero, the
    search goes on from where Newton's steps of limited length lead, which leave such places.

    Args:
        equations: residuals and Jacobian.
        start: z [..., m].
        tolerance: a residual counts as zero below this share of what the equations change by when z changes by
            1 + \|z\|.

    Source: Nocedal & Wright (2006), Numerical Optimization, ch. 10.3.
    """
    found = _descend(equations, start.detach(), tolerance)
    if known(found.converged.all()):
        return found
    lost = ~found.converged.unsqueeze(-1)
    wandered = _wander(equations, torch.where(lost, start.detach(), found.z))
    again = _descend(equations, torch.where(lost, wandered, found.z), tolerance)
    row = lost.squeeze(-1)
    return Roots(
        torch.where(lost, again.z, found.z),
        torch.where(row, again.residual, found.residual),
        found.converged | again.converged,
    )


def _wander(equations: Equations, z: Tensor) -> Tensor:
    """Where forty steps of Newton's method lead, none of them longer than half of 1 + |z|."""
    for _ in range(40):
        step = -_solved(*reversed(equations(z)))
        longest = (step.abs() / (1 + z.abs())).amax(-1, keepdim=True)
        step = step * torch.clamp(0.5 / longest, max=1.0)
        z = torch.where(torch.isfinite(step).all(-1, keepdim=True), z + step, z)
    return z


def _descend(equations: Equations, start: Tensor, tolerance: float, steps: int = 100) -> Roots:
    value, slope = equations(start)
    z = start.expand(value.shape)
    damping = torch.full(value.shape[:-1], 1e-3, dtype=z.dtype, device=z.device)
    idle = torch.zeros_like(damping)
    lowest = torch.finfo(z.dtype).eps
    for _ in range(steps):
        normal = slope.mT @ slope
        diagonal = normal.diagonal(dim1=-2, dim2=-1)
        # A variable that nothing depends on stays where it is.
        weight = torch.clamp(diagonal, min=1e-12 * diagonal.amax(-1, keepdim=True).clamp(min=1e-300))
        slant = (slope.mT @ value.unsqueeze(-1)).squeeze(-1)
        step = _solved(normal + torch.diag_embed(damping.unsqueeze(-1) * weight), -slant)
        before = _size(value)
        z, value, slope, better = _taken(equations, z, value, slope, step)
        damping = torch.where(better, damping * 0.1, damping * 8).clamp(1e-15, 1e16)
        idle = torch.where(_size(value) < 0.99 * before, 0.0, idle + 1)
        small = (step.abs() <= 8 * lowest * (1 + z.abs())).all(-1)
        if known((small | (idle > 15) | (_size(value) == 0)).all()):
            break
    for _ in range(0 if known(small.all()) else 3):
        z, value, slope, _ = _taken(equations, z, value, slope, -_solved(slope, value))
    change = (slope.abs() @ (1 + z.abs()).unsqueeze(-1)).squeeze(-1).amax(-1)
    residual = value.abs().amax(-1)
    return Roots(z, residual, (residual <= tolerance * change) & torch.isfinite(residual))


def _taken(
    equations: Equations, z: Tensor, value: Tensor, slope: Tensor, step: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where a step leads, with residual and Jacobian there; where it makes the residual no smaller, all stays."""
    tried = z + step
    new_value, new_slope = equations(tried)
    better = _size(new_value) < _size(value)
    row = better.unsqueeze(-1)
    return (
        torch.where(row, tried, z),
        torch.where(row, new_value, value),
        torch.where(row.unsqueeze(-1), new_slope, slope),
        better,
    )


def known(condition: Tensor) -> bool:
    """Whether a condition is known to hold: inside ``vmap``, where one tensor stands for many, none is."""
    try:
        return bool(condition)
    except RuntimeError:
        return False


def _size(value: Tensor) -> Tensor:
    size = torch.linalg.vector_norm(value, dim=-1)
    return torch.where(torch.isfinite(size), size, torch.inf)


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    """The solution of a linear system; no numbers where the matrix is singular, so that the step is not taken."""
    return torch.linalg.solve_ex(matrix, right.unsqueeze(-1))[0].squeeze(-1)
