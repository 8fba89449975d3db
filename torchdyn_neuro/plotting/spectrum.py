"""Power spectra."""

from typing import TYPE_CHECKING, Any

from .axes import axes_or_new, to_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def spectrum(
    frequency: Any,
    power: Any,
    *,
    highest: float | None = None,
    unit: str = "",
    ax: "Axes | None" = None,
    **style: Any,
) -> "Axes":
    """Power over frequency, on a logarithmic scale: ``spectrum(*analysis.power_spectrum(signal, dt=dt))``.

    Args:
        frequency: Hz, [F].
        power: density, [F] or [F, N]; the mean over N is drawn dark.
        highest: frequency at the end of the axis, Hz; all if omitted.
        unit: of the signal, for the label.
        ax: axes to draw on; new ones if omitted.
        style: passed on to ``Axes.semilogy``.

    Raises:
        ValueError: if the two do not go together.
    """
    across, up = to_array(frequency), to_array(power)
    if across.ndim != 1 or up.ndim not in (1, 2) or len(up) != len(across):
        raise ValueError(
            f"spectrum: expected frequencies [F] and power [F] or [F, N], got {across.shape} and {up.shape}; pass "
            "those of power_spectrum"
        )
    ax = axes_or_new(ax)
    # The mean of a signal is no rhythm, and is zero where it was taken out.
    across, up = across[1:], up[1:]
    if up.ndim == 2:
        ax.semilogy(across, up, color="0.8", linewidth=0.6)
        up = up.mean(1)
    ax.semilogy(across, up, **{"color": "black", "linewidth": 1.2, **style})
    ax.set(xlabel="frequency (Hz)", ylabel=f"power ({unit}²/Hz)" if unit else "power (1/Hz)")
    ax.set_xlim(0, across[-1] if highest is None else highest)
    return ax
