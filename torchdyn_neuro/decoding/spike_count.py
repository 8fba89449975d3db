"""Reading out spikes."""

from torch import Tensor

from ..core.lengths import total
from .decoder import Decoder


class SpikeCount(Decoder):
    r"""The number of output spikes of each class.

    .. math:: z_c = \sum_t s_{t,c}

    Shape:
        - input: [T, B, C] spikes, and lengths [B]
        - output: [B, C]

    Raises:
        ValueError: if the input is not [T, B, C].

    Example:
        >>> import torch
        >>> SpikeCount()(torch.ones(5, 1, 2))
        tensor([[5., 5.]])
    """

    def decode(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        return total(y, lengths)

    def keep(self, kept: Tensor, y_t: Tensor) -> Tensor:
        return kept + y_t
