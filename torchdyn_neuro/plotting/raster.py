"""Spike rasters."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core.checks import positive_number
from .axes import axes_or_new, to_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = ("tab:red", "tab:blue", "tab:green", "tab:purple", "tab:brown", "tab:gray")


def raster(
    spikes: Any,
    *,
    dt: float = 1.0,
    populations: Mapping[str, int] | None = None,
    ax: "Axes | None" = None,
    **style: Any,
) -> "Axes":
    """One row of marks per neuron, in one color per population.

    Args:
        spikes: [T, N], or [T] for one neuron; whatever is not zero is a spike.
        dt: time step, ms; a spike of step n is drawn at the end of it.
        populations: how many neurons each one has, by name, in the order of the neurons: ``{"E": 80, "I": 20}``; all
            are one if omitted.
        ax: axes to draw on; new ones if omitted.
        style: passed on to ``Axes.scatter``.

    Raises:
        ValueError: if ``spikes`` has more than two dimensions, ``dt`` is not positive, or the populations have more or
            fewer neurons.
    """
    dt = positive_number("raster", "dt", dt, unit="ms")
    array = to_array(spikes)
    if array.ndim not in (1, 2):
        raise ValueError(f"raster: expected spikes [T, N], got shape {array.shape}; pick one row of the batch")
    array = array.reshape(len(array), -1)
    sizes = {"": array.shape[1]} if populations is None else dict(populations)
    if sum(sizes.values()) != array.shape[1]:
        raise ValueError(
            f"raster: expected populations of {array.shape[1]} neurons together, got {sizes}; give the number of each"
        )
    ax = axes_or_new(ax)
    mark = {"s": 60 if array.shape[1] <= 60 else 4, "marker": "|", "linewidths": 0.8}
    begin = 0
    for place, (name, size) in enumerate(sizes.items()):
        step, neuron = array[:, begin : begin + size].nonzero()
        color = "black" if populations is None else _COLORS[place % len(_COLORS)]
        ax.scatter((step + 1) * dt, neuron + begin, **{**mark, "color": color, "label": name or None, **style})
        if populations is not None:
            middle = begin + (size - 1) / 2
            ax.annotate(
                name,
                (1.01, middle),
                xycoords=("axes fraction", "data"),
                color=color,
                va="center",
                annotation_clip=False,
            )
        begin += size
    ax.set(xlabel="time (ms)", ylabel="neuron", xlim=(0, len(array) * dt), ylim=(-0.5, array.shape[1] - 0.5))
    ax.yaxis.get_major_locator().set_params(integer=True)
    return ax
