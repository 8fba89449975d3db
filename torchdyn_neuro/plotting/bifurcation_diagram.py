"""Bifurcation diagrams."""

from typing import TYPE_CHECKING

from .axes import axes_or_new, to_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy import ndarray

    from ..analysis.bifurcation_diagram import BifurcationDiagram


def bifurcation_diagram(
    diagram: "BifurcationDiagram",
    *,
    component: int = 0,
    labels: tuple[str, str] = ("parameter", "state"),
    legend: bool = True,
    ax: "Axes | None" = None,
) -> "Axes":
    """Fixed points and the extremes of limit cycles along a parameter; what is unstable is dashed.

    Args:
        diagram: from ``torchdyn_neuro.analysis.bifurcation_diagram``.
        component: which variable is drawn, by its place.
        labels: of the axes, with their units.
        legend: whether the marks are named.
        ax: axes to draw on; new ones if omitted.

    Raises:
        ValueError: if there is no such component, or no branch.
    """
    if not diagram.branches:
        raise ValueError(
            "bifurcation_diagram: expected at least one branch, got none; pass other starts to the analysis"
        )
    size = diagram.branches[0].states.shape[1]
    if not 0 <= component < size:
        raise ValueError(
            f"bifurcation_diagram: expected a component below {size}, got {component!r}; pass a place in the state"
        )
    ax = axes_or_new(ax)
    for branch in diagram.branches:
        _line(ax, branch.parameter, branch.states[:, component], branch.stable, "black")
    for cycles in diagram.cycles:
        for extreme in (cycles.low, cycles.high):
            _line(ax, cycles.parameter, extreme[:, component], cycles.stable, "tab:blue")
    marks = (
        ("Hopf point", diagram.hopf_points, "o", "tab:blue"),
        ("fold", diagram.folds, "s", "tab:red"),
        ("branch point", diagram.branch_points, "D", "tab:green"),
    )
    for name, points, marker, color in marks:
        if points:
            across, up = ([float(v) for v in values] for values in _places(points, component))
            ax.plot(across, up, marker, color=color, markersize=5, label=name, zorder=3)
    if diagram.cycles:
        ax.plot([], [], color="tab:blue", label="limit cycle, extremes")
    if legend and ax.get_legend_handles_labels()[0]:
        ax.legend(loc="best", fontsize="small", frameon=False)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    return ax


def _places(points: list, component: int) -> tuple[list, list]:
    return [point.parameter for point in points], [point.state[component] for point in points]


def _line(ax: "Axes", across: object, up: object, stable: object, color: str) -> None:
    """A curve in pieces, each as it is at the end of it that the curve has more of."""
    x, y, solid = to_array(across), to_array(up), to_array(stable) > 0
    begin = 0
    for end in range(1, len(x) + 1):
        if end == len(x) or solid[end] != solid[begin]:
            piece: ndarray = slice(begin, min(end + 1, len(x)))
            ax.plot(x[piece], y[piece], color=color, linestyle="-" if solid[begin] else "--", linewidth=1.3)
            begin = end
