"""At which step of its sequence each row is."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core.state import State, first_leaf, register_state


@register_state
class StepCount(NamedTuple):
    """step: how many steps each row has seen, whole numbers [B]."""

    step: Tensor


def start_count(x_t: State) -> StepCount:
    """No step seen."""
    frame = first_leaf(x_t)
    return StepCount(torch.zeros(frame.shape[0], dtype=torch.int64, device=frame.device))


def steps_of(count: StepCount, steps: int, known: int) -> Tensor:
    """The number of each frame in its sequence, [T, B]; the last of the ``known`` ones stands for all behind it.

    Example:
        >>> steps_of(StepCount(torch.tensor([0, 2])), 3, 4).tolist()
        [[0, 2], [1, 3], [2, 3]]
    """
    frames = torch.arange(steps, device=count.step.device)[:, None]
    return (count.step + frames).clamp(max=known - 1)
