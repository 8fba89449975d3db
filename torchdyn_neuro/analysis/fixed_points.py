"""Where a system comes to rest."""

from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from ..core.checks import whole_number
from ..core.state import State
from ..core.transforms import active_transform
from .as_field import as_field
from .field import At, Field
from .implicit import implicit
from .jacobian import rates_and_jacobian
from .solve import known, solve


class FixedPoints(NamedTuple):
    """The fixed points that a search has found.

    states: [k, n], each once, in the order of their components; k is 0 if there is none.
    residual: the fastest component left at each, per ms, [k].
    starts: how many starts led to each, [k].
    lost: how many starts led to none.
    """

    states: Tensor
    residual: Tensor
    starts: Tensor
    lost: int


def fixed_point(system: Any, start: State, **at: Unpack[At]) -> Tensor:
    r"""The fixed point to which a search from a start leads, :math:`f(s) = 0`; stable or not.

    Its gradient is that of the implicit function theorem, :math:`ds/dp = -J^{-1}\, \partial f / \partial p`, up to the
    third derivative, so that it may stand in a loss.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field.
        start: [..., n], or a state of the dynamics; one search for each row and each row of the parameters.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Returns:
        [..., n], with a row for each row of the input or the parameters. Inside ``torch.func.vmap``, where nothing can
        be raised, NaN where there is none.

    Raises:
        ValueError: if a search finds none, or ends beyond the threshold of a cell; if a gradient is asked for where the
            Jacobian is singular; for what is no smooth autonomous field, see :func:`as_field`.

    Source: Strogatz (2015), Nonlinear Dynamics and Chaos, ch. 6.

    Example:
        >>> fixed_point(lambda r, w: -r + torch.tanh(w * r), torch.ones(1), parameters=(2.0,))
        tensor([0.9575], dtype=torch.float64)
    """
    field = as_field(system, start, **at)

    def equations(z: Tensor) -> tuple[Tensor, Tensor]:
        return rates_and_jacobian(field, z)

    found = solve(equations, field.in_rows(start))
    good = found.converged & field.allowed(found.z)
    if not known(good.all()):
        if active_transform() is None:
            raise ValueError(_not_found(field, found.converged, found.residual))
        # Nothing can be raised inside vmap.
        return implicit(equations, torch.where(good.unsqueeze(-1), found.z, torch.nan))
    return implicit(equations, found.z)


def _not_found(field: Field, converged: Tensor, residual: Tensor) -> str:
    if bool(converged.all()):
        return (
            f"{field.owner}: expected a fixed point below the threshold, got one beyond it, which no cell that spikes "
            "reaches; pass other starts, or measure its rate with f_i_curve"
        )
    worst = residual[~converged].max().item()
    return (
        f"{field.owner}: expected a fixed point near every start, got {int((~converged).sum())} of "
        f"{converged.numel()} searches that end elsewhere (rate of change {worst:.3g} per ms); pass other starts, "
        "or look with fixed_points(low=, high=)"
    )


def fixed_points(
    system: Any,
    starts: Tensor | None = None,
    *,
    low: float | Tensor | None = None,
    high: float | Tensor | None = None,
    count: int = 64,
    apart: float = 1e-6,
    **at: Unpack[At],
) -> FixedPoints:
    """All fixed points to which searches from many starts lead, stable or not, each once.

    None is promised to be the last one: more starts may find more.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field; one system, not a batch of them.
        starts: [S, n]; or, instead,
        low, high: corners of a box, [n] (of dynamics also numbers), in which starts are spread (a Sobol sequence).
        count: number of starts in the box.
        apart: two points count as one if they differ by less, relative to 1 + their size.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Raises:
        ValueError: if neither starts nor a box are given, or both; for what is no smooth autonomous field, see
            :func:`as_field`; if there are several systems in a batch.

    Source: Sussillo & Barak (2013), Neural Computation 25:626.

    Example:
        >>> starts = torch.linspace(-2, 2, 9)[:, None]
        >>> found = fixed_points(lambda r, w: -r + torch.tanh(w * r), starts, parameters=(2.0,))
        >>> found.states.flatten()
        tensor([-0.9575,  0.0000,  0.9575], dtype=torch.float64)
    """
    field = as_field(system, **at)
    starts = _starts(field, starts, low, high, whole_number("fixed_points", "count", count, 1))
    field = as_field(field, starts[0])
    if field(starts[:1]).shape != starts[:1].shape:
        raise ValueError(
            f"{field.owner}: expected one system, got {tuple(field(starts[:1]).shape[:-1])} of them in the input or "
            "the parameters; call fixed_points for each, or fixed_point in a batch"
        )
    found = solve(lambda z: rates_and_jacobian(field, z), starts, residual=field)
    kept = found.converged & field.allowed(found.z)
    states, residual = found.z[kept], found.residual[kept]
    first, counts = _distinct(states, residual, apart)
    order = sorted(range(len(first)), key=lambda k: [round(value, 9) for value in states[first[k]].tolist()])
    chosen = torch.tensor([first[k] for k in order], dtype=torch.long, device=states.device)
    numbers = torch.tensor([counts[k] for k in order], dtype=torch.long, device=states.device)
    distinct = states[chosen]
    regular = implicit(lambda z: rates_and_jacobian(field, z), distinct) if len(order) else distinct
    return FixedPoints(regular, residual[chosen], numbers, int((~kept).sum()))


def _starts(
    field: Field, starts: Tensor | None, low: float | Tensor | None, high: float | Tensor | None, count: int
) -> Tensor:
    box = low is not None and high is not None
    if (starts is not None) == box or (low is None) != (high is None):
        raise ValueError(
            f"{field.owner}: expected either starts [S, n] or a box low=, high= to start from, got "
            f"{'both' if box else 'neither'}; pass one of them"
        )
    if starts is not None:
        flat = field.flat(starts)
        if not flat.numel():
            raise ValueError(
                f"{field.owner}: expected a start [S, n] at least, got shape {tuple(flat.shape)}; pass one, or a box"
            )
        return flat.reshape(-1, flat.shape[-1])
    size = getattr(field, "size", None)
    corners = [torch.as_tensor(corner, dtype=field.dtype) for corner in (low, high)]
    if size is None:
        size = max(corner.numel() if corner.ndim else 0 for corner in corners)
    if not size:
        raise ValueError(
            f"{field.owner}: expected the corners of the box as tensors [n] of a function, whose number of variables "
            f"nobody knows, got numbers; pass low=torch.tensor([...])"
        )
    device = next((corner.device for corner in (low, high) if isinstance(corner, Tensor)), None)
    spread = SobolEngine(size, scramble=True, seed=0).draw(count, dtype=field.dtype).to(device or field.device)
    low_corner, high_corner = (corner.to(spread.device) for corner in corners)
    return low_corner + (high_corner - low_corner) * spread


def _distinct(states: Tensor, residual: Tensor, apart: float) -> tuple[list[int], list[int]]:
    """The best representative of each cluster of states, and how many are in it."""
    order = residual.argsort(stable=True).tolist()
    first: list[int] = []
    counts: list[int] = []
    for index in order:
        if first:
            others = states[first]
            gap = ((others - states[index]).abs() / (1 + others.abs())).amax(-1)
            near = int(gap.argmin())
            if gap[near] < apart:
                counts[near] += 1
                continue
        first.append(index)
        counts.append(1)
    return first, counts
