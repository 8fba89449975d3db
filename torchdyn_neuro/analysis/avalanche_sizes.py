"""Cascades of spikes between silences."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core.checks import positive_number
from .spike_trains import checked_trains, counted


class Avalanches(NamedTuple):
    """The avalanches of a population, in order.

    sizes: number of spikes of each, [K].
    durations: ms, [K].
    """

    sizes: Tensor
    durations: Tensor


def avalanche_sizes(spikes: Tensor, *, bin: float | None = None, dt: float = 1.0) -> Avalanches:
    r"""Avalanches: stretches of bins in each of which some neuron fires, between bins in which none does.

    One that begins before the recording or ends after it is left out, for its size is not known. In a critical network
    sizes follow a power law.

    Args:
        spikes: [T, N] of one population; whatever is not zero is a spike.
        bin: ms, a whole number of steps; a step if omitted. The usual choice is the mean interval between spikes of
            the whole population.
        dt: time step, ms.

    Raises:
        ValueError: if the bin is no whole number of steps or longer than the train; if ``spikes`` is not [T, N].
        TypeError: if ``spikes`` is no tensor.

    Source: Beggs & Plenz (2003), J. Neurosci. 23:11167.

    Example:
        >>> avalanche_sizes(torch.tensor([[0, 0], [1, 1], [1, 0], [0, 0], [0, 1], [0, 0]])).sizes
        tensor([3, 1])
    """
    owner = "avalanche_sizes"
    dt = positive_number(owner, "dt", dt, unit="ms")
    width = dt if bin is None else positive_number(owner, "bin", bin, unit="ms")
    fired = checked_trains(owner, spikes, 2)
    if fired.ndim != 2:
        raise ValueError(f"{owner}: expected one population [T, N], got shape {tuple(fired.shape)}; pick one row")
    steps = round(width / dt)
    if steps < 1 or abs(steps - width / dt) > 1e-6 * steps or steps > len(fired):
        raise ValueError(
            f"{owner}: expected a bin of a whole number of steps, at most the {len(fired) * dt:g} ms of the train, got "
            f"{width:g} ms with steps of {dt:g} ms; pass another bin"
        )
    bins = len(fired) // steps
    counts = fired[: bins * steps].reshape(bins, -1).sum(1)
    active = counts > 0
    edge = torch.diff(active.int(), prepend=active.int()[:1], append=active.int()[-1:])
    begins, ends = (edge == 1).nonzero().flatten(), (edge == -1).nonzero().flatten()
    # The first end may belong to an avalanche without a beginning, the last beginning to one without an end.
    ends = ends[ends > begins[0]] if len(begins) else ends[:0]
    begins = begins[: len(ends)]
    total = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    durations = counted(owner, (ends - begins).double() * steps * dt, spikes)
    return Avalanches(total[ends] - total[begins], durations)
