"""The rate of a neuron against its input."""

from typing import TYPE_CHECKING, Any

from .axes import axes_or_new, to_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def fi_curve(
    currents: Any, rates: Any, *, label: str = "input current", ax: "Axes | None" = None, **style: Any
) -> "Axes":
    """Rates over currents, as ``torchdyn_neuro.analysis.f_i_curve`` finds them.

    Args:
        currents: [N].
        rates: Hz, [N].
        label: of the x axis, with its unit.
        ax: axes to draw on; new ones if omitted.
        style: passed on to ``Axes.plot``.

    Raises:
        ValueError: if the two are not [N].
    """
    across, up = to_array(currents), to_array(rates)
    if across.ndim != 1 or across.shape != up.shape:
        raise ValueError(
            f"fi_curve: expected currents and rates [N], got {across.shape} and {up.shape}; pass "
            "analysis.f_i_curve(cell, currents) as rates"
        )
    ax = axes_or_new(ax)
    ax.plot(across, up, **style)
    ax.set(xlabel=label, ylabel="rate (Hz)")
    return ax
