"""All that is seen in the plane of two variables."""

from functools import partial
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.checks import whole_number
from ..core.state import State
from .as_field import as_field
from .eigenvalues import sorted_eigenvalues
from .field import At, Field
from .fixed_points import fixed_points
from .jacobian import jacobian_of
from .nullclines import Axis, Nullclines, Plane
from .refused_gradient import drawn
from .stability import classify
from .trajectory import trajectory


class PhasePlane(NamedTuple):
    """The plane of two variables.

    names: of the two variables.
    x, y: the grid, [points] each.
    rates: of change of both variables on it, per ms, [points of y, points of x, 2].
    nullclines: the curves on which one of them stands still.
    fixed_points: [k, 2]; of a system of two variables only, otherwise none.
    kinds: of their stability, such as ``"saddle"``.
    trajectories: [S, T, 2].
    """

    names: tuple[str, str]
    x: Tensor
    y: Tensor
    rates: Tensor
    nullclines: Nullclines
    fixed_points: Tensor
    kinds: list[str]
    trajectories: Tensor


def phase_plane(
    system: Any,
    *,
    x: Axis,
    y: Axis,
    others: State | None = None,
    points: int = 200,
    starts: Tensor | None = None,
    times: Any = None,
    **at: Unpack[At],
) -> PhasePlane:
    """Direction of the flow, nullclines, fixed points and trajectories in the plane of two variables; no gradient.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field.
        x, y: the two variables, by name (of dynamics) or place, and their ranges: ``("v", -80.0, -40.0)``.
        others: a state [n] whose other variables are held, see :func:`nullclines`.
        points: of the grid in each direction.
        starts: of trajectories, [S, n]; none if omitted.
        times: of trajectories, ms, [T].
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Raises:
        ValueError: if there is no such variable, a range is empty, or starts come without times; for what is no smooth
            autonomous field.

    Source: Strogatz (2015), Nonlinear Dynamics and Chaos, ch. 6.
    """
    if (starts is None) != (times is None):
        raise ValueError("phase_plane: expected starts and times of trajectories together, got one of them; pass both")
    field = as_field(system, **at)
    with torch.no_grad():
        plane = Plane(field, x, y, others, whole_number("phase_plane", "points", points, 2))
        found = _seen(field, plane, (x, y), starts, times)
    keep = partial(drawn, field, plane.base)
    return found._replace(
        rates=keep(found.rates),
        nullclines=Nullclines(*([keep(line) for line in lines] for lines in found.nullclines)),
        fixed_points=keep(found.fixed_points),
        trajectories=keep(found.trajectories),
    )


def _seen(field: Field, plane: Plane, axes: tuple[Axis, Axis], starts: Tensor | None, times: Any) -> PhasePlane:
    rates = plane.rates()
    places = list(plane.places)
    size = len(plane.base)
    fixed, kinds = plane.base.new_zeros(0, 2), []
    if size == 2:
        corners = torch.tensor([axis[1:] for axis in axes], dtype=plane.base.dtype, device=plane.base.device)
        low, high = plane.states(corners[:, 0]), plane.states(corners[:, 1])
        found = fixed_points(field, low=low, high=high, count=32).states
        inside = ((found >= low) & (found <= high)).all(-1)
        kinds = classify(sorted_eigenvalues(jacobian_of(field, found[inside]))).kind if inside.any() else []
        fixed = found[inside][:, places]
    paths = plane.base.new_zeros(0, 0, 2)
    if starts is not None:
        paths = trajectory(field, starts, times)[..., places].movedim(0, 1)
    names = field.names(size)
    return PhasePlane(
        (names[places[0]], names[places[1]]),
        plane.across,
        plane.along,
        rates,
        plane.nullclines(rates),
        fixed,
        kinds,
        paths,
    )
