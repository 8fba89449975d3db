"""How much spike counts vary."""

import torch
from torch import Tensor

from ..core.checks import positive_number
from .spike_trains import checked_trains, counted


def fano(spikes: Tensor, *, window: float, dt: float = 1.0) -> Tensor:
    r"""The Fano factor of each neuron: the variance of its counts in windows of time over their mean.

    It is 1 for a Poisson process, whatever the window, and falls to 0 for a regular train as the window grows.

    Args:
        spikes: [T, \*]; whatever is not zero is a spike.
        window: ms, a whole number of steps; what is left of the train at its end is not counted.
        dt: time step, ms.

    Returns:
        [\*]; NaN for a neuron that never fires.

    Raises:
        ValueError: if the window is no whole number of steps, or fewer than two of them fit into the train; if ``dt``
            is not positive.
        TypeError: if ``spikes`` is no tensor.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 1.4.

    Example:
        >>> fano(torch.ones(10), window=5.0)
        tensor(0., dtype=torch.float64)
    """
    dt = positive_number("fano", "dt", dt, unit="ms")
    window = positive_number("fano", "window", window, unit="ms")
    fired = checked_trains("fano", spikes)
    steps = round(window / dt)
    if steps < 1 or abs(steps - window / dt) > 1e-6 * steps or len(fired) < 2 * steps:
        raise ValueError(
            f"fano: expected a window of a whole number of steps, two of which fit into {len(fired) * dt:g} ms, got "
            f"{window:g} ms with steps of {dt:g} ms; pass another window"
        )
    windows = len(fired) // steps
    counts = fired[: windows * steps].reshape(windows, steps, *fired.shape[1:]).sum(1).double()
    mean = counts.mean(0)
    return counted("fano", torch.where(mean > 0, counts.var(0) / mean, torch.nan), spikes)
