"""The unit of current of a layer of neurons."""

import torch
from torch import nn

from ..core.state import State, map_state


class CurrentScale(nn.Module):
    r"""Converts normalized currents into the unit of the neurons that follow.

    .. math:: I = k\, x

    The scale ``k`` is a buffer, not a parameter: weights and learning rates stay of order one whether the neurons
    count in dimensionless units, in nA or in pA. :func:`calibrate` sets it.

    Args:
        scale: current per unit of the input.

    Shape:
        - input: any tensor, or a tree of them
        - output: the same
    """

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, x: State) -> State:
        return map_state(lambda leaf: leaf * self.scale, x)

    def extra_repr(self) -> str:
        return f"{self.scale.item():g}"
