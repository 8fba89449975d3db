"""Spike rasters."""

from typing import TYPE_CHECKING, Any

from ..core.checks import positive_number
from .axes import axes_or_new, to_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def raster(spikes: Any, *, dt: float = 1.0, ax: "Axes | None" = None, **style: Any) -> "Axes":
    """One row of marks per neuron.

    Args:
        spikes: [T, N], or [T] for one neuron; whatever is not zero is a spike.
        dt: time step, ms; a spike of step n is drawn at the end of it.
        ax: axes to draw on; new ones if omitted.
        style: passed on to ``Axes.scatter``.

    Raises:
        ValueError: if ``spikes`` has more than two dimensions, or ``dt`` is not positive.
    """
    dt = positive_number("raster", "dt", dt, unit="ms")
    array = to_array(spikes)
    if array.ndim not in (1, 2):
        raise ValueError(f"raster: expected spikes [T, N], got shape {array.shape}; pick one row of the batch")
    array = array.reshape(len(array), -1)
    ax = axes_or_new(ax)
    step, neuron = array.nonzero()
    ax.scatter((step + 1) * dt, neuron, **{"s": 60, "marker": "|", "color": "black", "linewidths": 0.8, **style})
    ax.set(xlabel="time (ms)", ylabel="neuron", xlim=(0, len(array) * dt), ylim=(-0.5, array.shape[1] - 0.5))
    ax.yaxis.get_major_locator().set_params(integer=True)
    return ax
