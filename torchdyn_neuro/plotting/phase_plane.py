"""The phase plane of equations with two variables."""

from typing import TYPE_CHECKING, Any

import torch

from ..core.context import without_drawing
from ..core.ode import ODE
from ..core.quantities import Constrained
from .axes import axes_or_new, to_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def phase_plane(
    cell: ODE,
    current: float,
    *,
    x: tuple[str, float, float],
    y: tuple[str, float, float],
    trajectory: tuple[Any, Any] | None = None,
    labels: tuple[str, str] | None = None,
    points: int = 200,
    ax: "Axes | None" = None,
) -> "Axes":
    """Nullclines, direction of the flow and a trajectory of a cell with two variables.

    Args:
        cell: with parameters of one value each, e.g. AdEx or Izhikevich.
        current: the input, held constant.
        x: field of the state on the x axis, and its range: ``("v", -80.0, -40.0)``.
        y: the same for the y axis: ``("w", 0.0, 200.0)``.
        trajectory: the two fields over time, each [T], drawn on top.
        labels: of the axes, with their units; the names of the fields if omitted.
        points: resolution of the grid in each direction.
        ax: axes to draw on; new ones if omitted.

    Raises:
        ValueError: if the state has no such field.
    """
    import numpy
    from matplotlib.lines import Line2D

    start = next((child.start for child in cell.modules() if isinstance(child, Constrained)), torch.zeros(()))
    across = torch.linspace(x[1], x[2], points, dtype=start.dtype, device=start.device)
    along = torch.linspace(y[1], y[2], points, dtype=start.dtype, device=start.device)
    horizontal, vertical = (grid.flatten()[None] for grid in torch.meshgrid(across, along, indexing="xy"))
    drive = torch.full_like(horizontal, current)
    with without_drawing():
        state = cell.initial_state(drive)
    absent = [name for name in (x[0], y[0]) if getattr(state, name, None) is None]
    if absent:
        raise ValueError(
            f"phase_plane: expected fields of the state of {type(cell).__name__}, got {absent[0]!r}; "
            f"it has {', '.join(state._fields)}"
        )
    with torch.no_grad():
        change = cell.derivative(drive, state._replace(**{x[0]: horizontal, y[0]: vertical}))
    slopes = [to_array(getattr(change, name).reshape(points, points)) for name in (x[0], y[0])]
    ax = axes_or_new(ax)
    grid_x, grid_y = (numpy.linspace(low, high, points) for _, low, high in (x, y))
    ax.streamplot(
        grid_x,
        grid_y,
        *slopes,
        color="0.85",
        linewidth=0.6,
        arrowsize=0.7,
        density=0.9,
        zorder=0,
        broken_streamlines=True,
    )
    colors = ("tab:blue", "tab:orange")
    for slope, color in zip(slopes, colors, strict=True):
        ax.contour(grid_x, grid_y, slope, levels=[0.0], colors=color, linewidths=1.5)
    lines = [
        Line2D([], [], color=color, label=rf"$\dot {name} = 0$")
        for color, name in zip(colors, (x[0], y[0]), strict=True)
    ]
    if trajectory is not None:
        ax.plot(to_array(trajectory[0]), to_array(trajectory[1]), color="black", linewidth=0.9)
    ax.legend(handles=lines, loc="best", fontsize="small", frameon=False)
    named = labels or (x[0], y[0])
    ax.set(xlabel=named[0], ylabel=named[1], xlim=x[1:], ylim=y[1:])
    return ax
