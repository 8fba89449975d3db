"""Reading out which class is ahead at each step."""

from typing import ClassVar

from torch import Tensor

from ..core.lengths import fill_padding, total
from .decoder import Decoder, wide


class SoftmaxMembrane(Decoder):
    r"""The share of each class in a softmax of the potentials, summed over time.

    .. math:: z_c = \sum_t \frac{e^{v_{t,c}}}{\sum_k e^{v_{t,k}}}

    Each step has one vote, however high its potentials. Logits so lie between 0 and T.

    Shape:
        - input: [T, B, C] potentials, and lengths [B]
        - output: [B, C]

    Source: Bittar & Garner (2022), Front. Neurosci. 16:865897.

    Example:
        >>> import torch
        >>> SoftmaxMembrane()(torch.zeros(4, 1, 2))
        tensor([[2., 2.]])
    """

    elementwise: ClassVar[bool] = False

    def decode(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        return total(fill_padding(y, lengths).softmax(2), lengths)

    def keep(self, kept: Tensor, y_t: Tensor) -> Tensor:
        return kept + y_t.softmax(1, dtype=wide(y_t))
