"""Constant input currents."""

from torch import Tensor

from ..core.checks import positive_number
from .encoder import Encoder


class DirectCurrent(Encoder):
    r"""Every value becomes a constant current, so that the first layer of neurons does the encoding.

    .. math:: I_t = g\, x

    The output repeats one frame without copying it: its stride along time is zero.

    Args:
        steps: length T of the sequence.
        gain: current per unit of the value.
        dt: time step, ms.

    Shape:
        - input: [B, \*]
        - output: [T, B, \*]

    Raises:
        ValueError: if ``steps``, ``gain`` or ``dt`` is not positive.

    Source: Rueckauer et al. (2017), Front. Neurosci. 11:682.

    Example:
        >>> import torch
        >>> DirectCurrent(steps=3)(torch.tensor([[0.5, 1.0]])).tolist()
        [[[0.5, 1.0]], [[0.5, 1.0]], [[0.5, 1.0]]]
    """

    def __init__(self, steps: int, *, gain: float = 1.0, dt: float = 1.0):
        super().__init__(steps, dt=dt)
        self.gain = positive_number("DirectCurrent", "gain", gain)

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        return (self.gain * x).unsqueeze(0).expand(self.steps, *x.shape)
