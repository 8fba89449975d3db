"""Roots of equations, many starts at once."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Equations = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps z [..., m] to residuals [..., m] and their Jacobian [..., m, m]."""
Residual = Callable[[Tensor], Tensor]
"""Maps z [S, m] to residuals [S, m]."""

_IDLE = 15
"""Steps without progress after which a search has ended."""


class Roots(NamedTuple):
    """What a search has found.

    z: where it ended, [..., m].
    residual: the largest entry of the equations there, [...].
    converged: whether that is zero as far as the numbers tell, [...].
    """

    z: Tensor
    residual: Tensor
    converged: Tensor


class _Search(NamedTuple):
    """Where searches are: z [..., m], residuals, their Jacobian, the damping, steps without progress, the last step."""

    z: Tensor
    value: Tensor
    slope: Tensor
    damping: Tensor
    idle: Tensor
    small: Tensor

    def of(self, rows: Tensor) -> "_Search":
        return _Search(*(part[rows] for part in self))


@torch.no_grad()
def solve(equations: Equations, start: Tensor, *, tolerance: float = 1e-9, residual: Residual | None = None) -> Roots:
    r"""Roots by the method of Levenberg and Marquardt, each row of the batch by itself.

    A step solves :math:`(J^\top J + \mu\, \mathrm{diag}(J^\top J))\, d = -J^\top g`; it is taken where it makes the
    residual smaller, and with :math:`\mu \to 0` becomes Newton's. Where the residual has a minimum above zero, the
    search goes on from where Newton's steps of limited length lead, which leave such places.

    Args:
        equations: residuals and Jacobian.
        start: z [..., m].
        tolerance: a residual counts as zero below this share of what the equations change by when z changes by
            1 + \|z\|.
        residual: the residuals alone, where the equations of all rows [S, m] are the same ones: rows whose search has
            ended are then left out, and a Jacobian is only asked for where a step is taken.

    Source: Nocedal & Wright (2006), Numerical Optimization, ch. 10.3.
    """
    found = _descend(equations, start.detach(), tolerance, residual)
    if known(found.converged.all()):
        return found
    if residual is not None:
        lost = (~found.converged).nonzero().flatten()
        wandered = _wander(equations, start.detach()[lost])
        again = _descend(equations, wandered, tolerance, residual)
        return Roots(*(part.index_copy(0, lost, other) for part, other in zip(found, again, strict=True)))
    lost = ~found.converged.unsqueeze(-1)
    wandered = _wander(equations, torch.where(lost, start.detach(), found.z))
    again = _descend(equations, torch.where(lost, wandered, found.z), tolerance, residual)
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


def _descend(
    equations: Equations, start: Tensor, tolerance: float, residual: Residual | None, steps: int = 100
) -> Roots:
    value, slope = equations(start)
    idle = torch.zeros(value.shape[:-1], dtype=start.dtype, device=start.device)
    search = _Search(start.expand(value.shape), value, slope, torch.full_like(idle, 1e-3), idle, idle > 0)
    ended: list[tuple[Tensor, _Search]] = []
    places = torch.arange(len(idle), device=start.device) if residual is not None else idle
    for _ in range(steps):
        search = _stepped(equations, search, residual)
        done = search.small | (search.idle > _IDLE) | (_size(search.value) == 0)
        if known(done.all()):
            break
        if residual is not None and known(done.any()):
            ended.append((places[done], search.of(done)))
            search, places = search.of(~done), places[~done]
    if ended:
        order = torch.cat([*(places for places, _ in ended), places]).argsort()
        parts = zip(*(part for _, part in ended), search, strict=True)
        search = _Search(*(torch.cat(part)[order] for part in parts))
    for _ in range(0 if known(search.small.all()) else 3):
        search = _taken(equations, search, -_solved(search.slope, search.value), residual)[0]
    change = (search.slope.abs() @ (1 + search.z.abs()).unsqueeze(-1)).squeeze(-1).amax(-1)
    largest = search.value.abs().amax(-1)
    tolerance = max(tolerance, 4 * torch.finfo(start.dtype).eps)  # float32 has no more digits
    return Roots(search.z, largest, (largest <= tolerance * change) & torch.isfinite(largest))


def _stepped(equations: Equations, search: _Search, residual: Residual | None) -> _Search:
    """The searches one step of Levenberg and Marquardt further."""
    slope = search.slope
    normal = slope.mT @ slope
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    # A variable that nothing depends on stays where it is.
    weight = torch.clamp(diagonal, min=1e-12 * diagonal.amax(-1, keepdim=True).clamp(min=1e-300))
    slant = (slope.mT @ search.value.unsqueeze(-1)).squeeze(-1)
    step = _solved(normal + torch.diag_embed(search.damping.unsqueeze(-1) * weight), -slant)
    after, better = _taken(equations, search, step, residual)
    progress = _size(after.value) < 0.99 * _size(search.value)
    return after._replace(
        damping=torch.where(better, search.damping * 0.1, search.damping * 8).clamp(1e-15, 1e16),
        idle=torch.where(progress, 0.0, search.idle + 1),
        small=(step.abs() <= 8 * torch.finfo(step.dtype).eps * (1 + after.z.abs())).all(-1),
    )


def _taken(equations: Equations, search: _Search, step: Tensor, residual: Residual | None) -> tuple[_Search, Tensor]:
    """The searches where a step leads, and which took it: where it makes the residual no smaller, all stays."""
    tried = search.z + step
    if residual is not None:
        value = residual(tried)
        better = _size(value) < _size(search.value)
        rows = better.nonzero().flatten()
        slope = search.slope.index_copy(0, rows, equations(tried[rows])[1]) if len(rows) else search.slope
    else:
        value, new_slope = equations(tried)
        better = _size(value) < _size(search.value)
        slope = torch.where(better[..., None, None], new_slope, search.slope)
    row = better.unsqueeze(-1)
    taken = search._replace(
        z=torch.where(row, tried, search.z), value=torch.where(row, value, search.value), slope=slope
    )
    return taken, better


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
