"""The rate of a neuron against its input."""

from typing import Any

import torch
from torch import Tensor

from ..core.checks import positive_number
from ..core.dynamics import Dynamics
from ..core.quantities import Constrained
from ..core.spiking import Spiking


def f_i_curve(cell: Dynamics, currents: Any, *, duration: float = 1000.0, settle: float = 0.0) -> Tensor:
    """Mean rate under constant currents, all simulated in one batch.

    Args:
        cell: one that spikes, whose spikes are counted, or that puts out a rate, which is averaged; with parameters of
            one value each.
        currents: [N], in the unit of the cell's input.
        duration: over which spikes are counted, ms.
        settle: run before that, ms.

    Returns:
        [N], Hz for a cell that spikes, otherwise in the unit of the output; differentiable as the cell is.

    Raises:
        TypeError: if the cell is no :class:`Dynamics`.
        ValueError: if ``currents`` is not one-dimensional, ``duration`` shorter than a step, or ``settle`` negative.

    Source: Gerstner et al. (2014), Neuronal Dynamics, ch. 1.3.4.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> f_i_curve(tdn.LIF(), [0.5, 2.0])
        tensor([ 0., 71.])
    """
    owner = "f_i_curve"
    duration = positive_number(owner, "duration", duration, unit="ms")
    settle = positive_number(owner, "settle", settle, zero=True, unit="ms")
    if not isinstance(cell, Dynamics):
        raise TypeError(f"{owner}: expected a Dynamics, got {type(cell).__name__}; pass a cell such as LIF()")
    start = next((child.start for child in cell.modules() if isinstance(child, Constrained)), torch.zeros(()))
    amplitudes = torch.as_tensor(currents, dtype=start.dtype, device=start.device)
    counted, before = round(duration / cell.dt), round(settle / cell.dt)
    if amplitudes.ndim != 1 or counted < 1:
        raise ValueError(
            f"{owner}: expected currents [N] and a duration of at least {cell.dt:g} ms, got shape "
            f"{tuple(amplitudes.shape)} and {duration:g} ms; pass a list of currents and a longer duration"
        )
    output = cell(amplitudes[:, None].expand(before + counted, -1, -1))[before:, :, 0]
    spikes = any(isinstance(part, Spiking) for part in cell.modules())
    return output.sum(0) / (counted * cell.dt) * 1000 if spikes else output.mean(0)
