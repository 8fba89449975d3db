"""The unit of current of a layer of neurons."""

import torch
from torch import Tensor, nn


class CurrentScale(nn.Module):
    r"""Converts normalised currents into the unit of the neurons that follow.

    .. math:: I = k\, x

    The scale ``k`` is a buffer, not a parameter: weights and learning rates stay of order one whether the neurons
    count in dimensionless units, in nA or in pA. :meth:`SpikingClassifier.calibrate` sets it.

    Args:
        scale: current per unit of the input.

    Shape:
        - input: [T, B, \*]
        - output: [T, B, \*]
    """

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.register_buffer("scale", torch.tensor(float(scale)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale

    def extra_repr(self) -> str:
        return f"{self.scale.item():g}"
