"""The straight-through surrogate."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.surrogate import Surrogate


@dataclass(frozen=True)
class StraightThrough(Surrogate):
    r"""Passes the gradient as if the spike were the identity.

    .. math:: \Theta'(x) \approx 1

    Source: Bengio, Leonard & Courville (2013), arXiv:1308.3432.
    """

    def derivative(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)
