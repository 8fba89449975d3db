"""How irregular spike trains are."""

import torch
from torch import Tensor

from .isi import isi


def cv(spikes: Tensor, *, dt: float = 1.0) -> Tensor:
    r"""The coefficient of variation of each neuron: the deviation of the intervals between its spikes over their mean.

    It is 0 for a regular train, 1 for one of a Poisson process, above 1 for bursts.

    Args:
        spikes: [T, \*]; whatever is not zero is a spike.
        dt: time step, ms, on which it does not depend.

    Returns:
        [\*]; NaN for a neuron with fewer than two intervals, of which nothing can be said.

    Raises:
        ValueError: if ``spikes`` has no axis of time, or ``dt`` is not positive.
        TypeError: if ``spikes`` is no tensor.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 1.4.

    Example:
        >>> cv(torch.tensor([1, 0, 1, 0, 1, 0, 1]))
        tensor(0., dtype=torch.float64)
    """
    intervals = isi(spikes, dt=dt)
    known = ~intervals.isnan()
    count = known.sum(0)
    filled = torch.where(known, intervals, 0.0)
    mean = filled.sum(0) / count
    spread = torch.where(known, intervals - mean, 0.0).square().sum(0) / count
    return torch.where(count >= 2, spread.sqrt() / mean, torch.nan)
