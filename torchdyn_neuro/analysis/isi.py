"""Intervals between spikes."""

import torch
from torch import Tensor

from ..core.checks import positive_number
from .spike_trains import checked_trains, counted


def isi(spikes: Tensor, *, dt: float = 1.0) -> Tensor:
    r"""The intervals between the spikes of each neuron, ms, in order.

    Args:
        spikes: [T, \*]; whatever is not zero is a spike.
        dt: time step, ms.

    Returns:
        [K, \*], K the number of intervals of the neuron with the most; NaN behind the last one of the others.

    Raises:
        ValueError: if ``spikes`` has no axis of time, or ``dt`` is not positive.
        TypeError: if ``spikes`` is no tensor.

    Example:
        >>> isi(torch.tensor([1, 0, 1, 0, 0, 1]), dt=0.5)
        tensor([1.0000, 1.5000], dtype=torch.float64)
    """
    dt = positive_number("isi", "dt", dt, unit="ms")
    fired = checked_trains("isi", spikes)
    trains = fired.reshape(len(fired), -1)
    number = trains.cumsum(0)
    most = int(number[-1].amax()) if trains.shape[1] else 0
    times = torch.full((most + 1, trains.shape[1]), torch.nan, dtype=torch.float64, device=fired.device)
    step, neuron = trains.nonzero(as_tuple=True)
    times[number[step, neuron] - 1, neuron] = step.double() * dt
    intervals = times[1:most] - times[: max(0, most - 1)]
    return counted("isi", intervals.reshape(len(intervals), *fired.shape[1:]), spikes)
