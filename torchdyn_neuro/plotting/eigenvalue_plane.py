"""Eigenvalues in the complex plane."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from .axes import axes_or_new

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def eigenvalue_plane(eigenvalues: Any, *, ax: "Axes | None" = None, **style: Any) -> "Axes":
    """Growth rates against frequencies, with the border of stability.

    Args:
        eigenvalues: per ms, complex, [n] or [m, n] (drawn along m in one color), from
            ``torchdyn_neuro.analysis.eigenvalues``.
        ax: axes to draw on; new ones if omitted.
        style: passed on to ``Axes.scatter``.

    Raises:
        ValueError: if they have more than two axes.
    """
    import numpy

    given = eigenvalues.detach().cpu().numpy() if isinstance(eigenvalues, Tensor) else numpy.asarray(eigenvalues)
    if given.ndim not in (1, 2):
        raise ValueError(f"eigenvalue_plane: expected eigenvalues [n] or [m, n], got shape {given.shape}; pick one row")
    ax = axes_or_new(ax)
    ax.axvline(0, color="0.6", linewidth=0.8, zorder=0)
    ax.axhline(0, color="0.9", linewidth=0.8, zorder=0)
    frequency = given.imag * 1000 / (2 * numpy.pi)
    ax.scatter(given.real, frequency, **{"s": 18, "color": "tab:blue", "linewidths": 0, **style})
    ax.set(xlabel="growth rate (1/ms)", ylabel="frequency (Hz)")
    return ax
