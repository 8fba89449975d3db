"""What every measure of spike trains takes."""

from typing import Any

import torch
from torch import Tensor

from .placed import check_placed
from .refused_gradient import refused


def checked_trains(owner: str, spikes: Any, axes: int = 1) -> Tensor:
    """Spikes [T, ...] as booleans.

    Args:
        owner: who asks, for messages.
        spikes: whatever is not zero is a spike.
        axes: how many there must be at least.
    """
    if not isinstance(spikes, Tensor):
        raise TypeError(f"{owner}: expected spikes as a tensor [T, *], got {type(spikes).__name__}; pass a tensor")
    if spikes.ndim < axes or not len(spikes):
        wanted = "[T, *]" if axes == 1 else "[T, N]"
        raise ValueError(f"{owner}: expected spikes {wanted}, got shape {tuple(spikes.shape)}; put time first")
    check_placed(owner, "spikes", [spikes])
    fired = spikes.detach() != 0
    if spikes.is_floating_point() and not torch.isfinite(spikes).all():
        raise ValueError(f"{owner}: expected spikes of 0 and 1, got values that are no numbers; look for their origin")
    return fired


def counted(owner: str, value: Tensor, spikes: Tensor) -> Tensor:
    """What is counted of spikes, and so has no gradient; one that is asked for is refused."""
    message = (
        f"{owner}: expected to count spikes, got a gradient asked of their number or times, which have none; take a "
        "loss of rates or potentials, or call detach()"
    )
    return refused(value, spikes, message)
