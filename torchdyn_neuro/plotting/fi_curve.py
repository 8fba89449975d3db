"""The rate of a neuron against its input."""

from typing import TYPE_CHECKING, Any

import torch

from ..core.checks import positive_number
from ..core.dynamics import Dynamics
from ..core.quantities import Constrained
from .axes import axes_or_new, to_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def fi_curve(
    cell: Dynamics,
    currents: Any,
    *,
    duration: float = 1000.0,
    settle: float = 0.0,
    label: str = "input current",
    ax: "Axes | None" = None,
    **style: Any,
) -> "Axes":
    """Mean rate under constant currents, all simulated in one batch.

    Args:
        cell: a spiking cell with parameters of one value each.
        currents: [N], in the unit of the cell's input.
        duration: over which spikes are counted, ms.
        settle: run before that, ms.
        label: of the x axis, with its unit.
        ax: axes to draw on; new ones if omitted.
        style: passed on to ``Axes.plot``.

    Raises:
        ValueError: if ``currents`` is not one-dimensional, ``duration`` shorter than a step, or ``settle`` negative.
    """
    amplitudes = to_array(currents)
    duration = positive_number("fi_curve", "duration", duration, unit="ms")
    settle = positive_number("fi_curve", "settle", settle, zero=True, unit="ms")
    counted, before = round(duration / cell.dt), round(settle / cell.dt)
    if amplitudes.ndim != 1 or counted < 1:
        raise ValueError(
            f"fi_curve: expected currents [N] and a duration of at least {cell.dt:g} ms, got shape {amplitudes.shape} "
            f"and {duration:g} ms; pass a list of currents and a longer duration"
        )
    start = next((child.start for child in cell.modules() if isinstance(child, Constrained)), torch.zeros(()))
    frame = torch.as_tensor(amplitudes, dtype=start.dtype, device=start.device)[:, None]
    with torch.no_grad():
        spikes = cell(frame.expand(before + counted, -1, -1))[before:]
    rates = spikes.sum(0)[:, 0] / (counted * cell.dt) * 1000
    ax = axes_or_new(ax)
    ax.plot(amplitudes, to_array(rates), **style)
    ax.set(xlabel=label, ylabel="rate (Hz)")
    return ax
