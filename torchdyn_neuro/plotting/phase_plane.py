"""The phase plane of two variables."""

from typing import TYPE_CHECKING, Any

from .axes import axes_or_new, to_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..analysis.phase_plane import PhasePlane

_COLORS = ("tab:blue", "tab:orange")


def phase_plane(
    plane: "PhasePlane",
    *,
    trajectory: tuple[Any, Any] | None = None,
    labels: tuple[str, str] | None = None,
    legend: bool = True,
    ax: "Axes | None" = None,
) -> "Axes":
    """Direction of the flow, nullclines, fixed points and trajectories, from ``torchdyn_neuro.analysis.phase_plane``.

    Stable fixed points are filled, unstable ones open, saddles are crosses.

    Args:
        plane: what is drawn.
        trajectory: two variables over time, each [T], drawn on top, for example those of a cell that spikes.
        labels: of the axes, with their units; the names of the variables if omitted.
        legend: whether the nullclines are named.
        ax: axes to draw on; new ones if omitted.
    """
    from matplotlib.lines import Line2D

    ax = axes_or_new(ax)
    across, along, rates = to_array(plane.x), to_array(plane.y), to_array(plane.rates)
    ax.streamplot(
        across,
        along,
        rates[..., 0],
        rates[..., 1],
        color="0.85",
        linewidth=0.6,
        arrowsize=0.7,
        density=0.9,
        zorder=0,
        broken_streamlines=True,
    )
    for curves, color in zip(plane.nullclines, _COLORS, strict=True):
        for curve in curves:
            ax.plot(*to_array(curve).T, color=color, linewidth=1.5, zorder=1)
    for path in to_array(plane.trajectories):
        ax.plot(*path.T, color="0.35", linewidth=0.9, zorder=2)
    if trajectory is not None:
        ax.plot(to_array(trajectory[0]), to_array(trajectory[1]), color="black", linewidth=0.9, zorder=2)
    for point, kind in zip(to_array(plane.fixed_points), plane.kinds, strict=True):
        marker, face = ("X", "white") if kind == "saddle" else ("o", "black" if kind.startswith("stable") else "white")
        ax.plot(*point, marker=marker, color="black", markerfacecolor=face, markersize=6, linestyle="none", zorder=3)
    if legend:
        names = [rf"$\dot {_symbol(name)} = 0$" for name in plane.names]
        lines = [Line2D([], [], color=color, label=name) for color, name in zip(_COLORS, names, strict=True)]
        ax.legend(handles=lines, loc="best", fontsize="small", frameon=False)
    named = labels or plane.names
    ax.set(xlabel=named[0], ylabel=named[1], xlim=across[[0, -1]], ylim=along[[0, -1]])
    return ax


def _symbol(name: str) -> str:
    """A name such as x0 or v[1] with its number below."""
    letters = name.rstrip("0123456789[], ")
    return f"{{{letters}}}_{{{name[len(letters) :].strip('[]')}}}" if letters != name else name
