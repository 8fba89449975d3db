"""What every figure needs: axes to draw on and arrays to draw."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy import ndarray


def axes_or_new(ax: "Axes | None") -> "Axes":
    """``ax``, or the axes of a new figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def to_array(values: Any) -> "ndarray":
    """A NumPy array of a tensor (from any device, cut from its graph), an array or a sequence."""
    import numpy

    return numpy.asarray(values.detach().double().cpu() if isinstance(values, Tensor) else values, dtype=float)
