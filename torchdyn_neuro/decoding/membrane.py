"""Reading out the potential of non-spiking output neurons."""

import torch
from torch import Tensor

from ..core.lengths import fill_padding, last, step_counts, total
from .decoder import Decoder, wide


class MeanMembrane(Decoder):
    r"""The potential of each class, averaged over time.

    .. math:: z_c = \frac{1}{T} \sum_t v_{t,c}

    Shape:
        - input: [T, B, C] potentials, and lengths [B]
        - output: [B, C]
    """

    def decode(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        return total(y, lengths) / step_counts(y, lengths)

    def keep(self, kept: Tensor, y_t: Tensor) -> Tensor:
        return kept + y_t

    def finish(self, kept: Tensor, steps: int | Tensor) -> Tensor:
        return kept / steps


class LastMembrane(Decoder):
    r"""The potential of each class at the last step.

    .. math:: z_c = v_{T,c}

    Shape:
        - input: [T, B, C] potentials, and lengths [B]
        - output: [B, C]
    """

    def decode(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        return last(y, lengths)

    def keep(self, kept: Tensor, y_t: Tensor) -> Tensor:
        return y_t


class MaxMembrane(Decoder):
    r"""The highest potential that each class reaches.

    .. math:: z_c = \max_t v_{t,c}

    Several steps that reach it share the gradient; read while time goes on, the first of them gets it.

    Shape:
        - input: [T, B, C] potentials, and lengths [B]
        - output: [B, C]
    """

    def decode(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        return fill_padding(y, lengths, -torch.inf).amax(0)

    def start(self, y_t: Tensor) -> Tensor:
        return torch.full_like(y_t, -torch.inf, dtype=wide(y_t))

    def keep(self, kept: Tensor, y_t: Tensor) -> Tensor:
        return torch.where(y_t > kept, y_t, kept)
