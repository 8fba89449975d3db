"""Reading out spikes."""

from torch import Tensor

from .decoder import Decoder


class SpikeCount(Decoder):
    r"""The number of output spikes of each class.

    .. math:: z_c = \sum_t s_{t,c}

    Shape:
        - input: [T, B, C] spikes
        - output: [B, C]

    Raises:
        ValueError: if the input is not [T, B, C].

    Example:
        >>> import torch
        >>> SpikeCount()(torch.ones(5, 1, 2))
        tensor([[5., 5.]])
    """

    def decode(self, y: Tensor) -> Tensor:
        return y.sum(0)

    def keep(self, kept: Tensor, y_t: Tensor) -> Tensor:
        return kept + y_t
