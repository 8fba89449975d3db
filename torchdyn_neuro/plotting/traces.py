"""Trajectories over time."""

from typing import TYPE_CHECKING, Any

from ..core.checks import positive_number
from .axes import axes_or_new, to_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def traces(
    values: Any,
    *,
    dt: float = 1.0,
    spikes: Any = None,
    v_peak: float | None = None,
    label: str = "membrane potential (mV)",
    ax: "Axes | None" = None,
    **style: Any,
) -> "Axes":
    """State fields over time, with the spikes that the reset has hidden.

    Args:
        values: [T, N], or [T] for one neuron.
        dt: time step, ms; the value of step n is drawn at the end of it.
        spikes: of the shape of ``values``; where there is one, ``v_peak`` takes the place of the value.
        v_peak: height of the spikes, in the unit of ``values``; the largest value if omitted.
        label: of the y axis, with its unit.
        ax: axes to draw on; new ones if omitted.
        style: passed on to ``Axes.plot``.

    Raises:
        ValueError: if ``values`` has more than two dimensions, or ``spikes`` another shape.
    """
    dt = positive_number("traces", "dt", dt, unit="ms")
    import numpy

    array = to_array(values)
    if array.ndim not in (1, 2):
        raise ValueError(f"traces: expected values [T, N], got shape {array.shape}; pick one row of the batch")
    if spikes is not None:
        fired = to_array(spikes) != 0
        if fired.shape != array.shape:
            raise ValueError(f"traces: expected spikes of shape {array.shape}, got {fired.shape}; pass matching ones")
        array = numpy.where(fired, array.max() if v_peak is None else v_peak, array)
    ax = axes_or_new(ax)
    ax.plot((numpy.arange(len(array)) + 1) * dt, array, **{"linewidth": 1.0, **style})
    ax.set(xlabel="time (ms)", ylabel=label, xlim=(0, len(array) * dt))
    return ax
