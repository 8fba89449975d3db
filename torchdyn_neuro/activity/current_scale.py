"""The unit of current of a layer of neurons."""

from typing import ClassVar

import torch
from torch import nn

from ..core.inputs import check_tensor
from ..core.state import State, leaves, map_state


class CurrentScale(nn.Module):
    r"""Converts normalized currents into the unit of the neurons that follow.

    .. math:: I = k\, x

    The scale ``k`` is a buffer, not a parameter: weights and learning rates stay of order one whether the neurons
    count in dimensionless units, in nA or in pA. :func:`calibrate` sets it.

    Args:
        scale: current per unit of the input.

    Shape:
        - input: any tensor, or a tuple of them
        - output: the same

    Raises:
        TypeError: from ``forward`` for anything else.
    """

    alike: ClassVar[bool] = True  # one frame stands for many that are the same

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, x: State) -> State:
        for leaf in leaves(x):
            check_tensor("CurrentScale", leaf, "a tensor, or a tuple of tensors")
        return map_state(lambda leaf: leaf * self.scale, x)

    def extra_repr(self) -> str:
        return f"{self.scale.item():g}"
