"""Squared distance of rates from those wanted."""

from torch import Tensor
from torch.nn import functional

from ..core.checks import fraction
from ..decoding import MeanMembrane
from .decoded import DecodedLoss


class RateMSE(DecodedLoss):
    r"""Squared distance of the output rates, as shares of the steps, from one for the label and one for the others.

    .. math:: L = \frac{1}{C} \sum_c \Bigl(\frac{1}{T} \sum_t s_{t,c} - r_c\Bigr)^2, \qquad
        r_c = r_{correct} \text{ if } c = label \text{, else } r_{wrong}

    Args:
        correct: share of the steps in which the neuron of the label is to fire.
        wrong: that of all others; a little above 0 keeps them alive.

    Shape:
        - input: spikes [T, B, C], labels [B], and the lengths [B] of padded sequences
        - output: scalar

    Raises:
        ValueError: if a share is not from 0 to 1.

    Source: Fang et al. (2021), ICCV (1 and 0); Shrestha & Orchard (2018), NeurIPS 31 (counts for both).

    Example:
        >>> import torch
        >>> RateMSE()(torch.tensor([[[1.0, 0.0]], [[1.0, 1.0]]]), torch.tensor([0]))
        tensor(0.1250)
    """

    def __init__(self, *, correct: float = 1.0, wrong: float = 0.0):
        super().__init__(MeanMembrane())
        self.correct = fraction("RateMSE", "correct", correct, of="all steps")
        self.wrong = fraction("RateMSE", "wrong", wrong, of="all steps")

    def judge(self, decoded: Tensor, target: Tensor) -> Tensor:
        wanted = functional.one_hot(target.long(), decoded.shape[1]).to(decoded.dtype)
        return functional.mse_loss(decoded, self.wrong + (self.correct - self.wrong) * wanted)
