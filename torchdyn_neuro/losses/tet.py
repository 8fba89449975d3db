"""Temporal efficient training."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.checks import fraction
from ..decoding.decoder import Decoder
from .every_step import EveryStep


class TET(EveryStep):
    r"""Temporal efficient training: cross-entropy at every step, and outputs that keep near a value.

    .. math:: L = \frac{1}{T} \sum_t \Bigl[ (1 - \lambda)\, \mathrm{CE}(y_t, label)
        + \lambda\, \frac{1}{C} \sum_c (y_{t,c} - \phi)^2 \Bigr]

    The second term keeps single outputs from running away. The prediction is the mean output.

    Args:
        mixing: share :math:`\lambda` of the second term.
        phi: value that outputs are kept near, such as the threshold.
        label_smoothing: share of the target that is spread over all classes.
        decoder: what is read from the outputs for the accuracy; their mean if omitted.

    Shape:
        - input: outputs [T, B, C], labels [B], and the lengths [B] of padded sequences
        - output: scalar

    Raises:
        ValueError: if ``mixing`` is not from 0 to 1.

    Source: Deng et al. (2022), ICLR, "Temporal efficient training of spiking neural network via gradient re-weighting".

    Example:
        >>> TET(mixing=0.5)(torch.zeros(4, 1, 2), torch.tensor([0]))
        tensor(0.8466)
    """

    def __init__(
        self,
        *,
        mixing: float = 0.05,
        phi: float = 1.0,
        label_smoothing: float = 0.0,
        decoder: Decoder | None = None,
    ):
        super().__init__(
            _Frame(fraction("TET", "mixing", mixing, of="the loss"), phi, label_smoothing), decoder=decoder
        )

    @property
    def mixing(self) -> float:
        """Share of the second term."""
        return self.criterion.mixing

    @property
    def phi(self) -> float:
        """Value that outputs are kept near."""
        return self.criterion.phi


class _Frame(nn.Module):
    """The loss of a frame [B, C]."""

    def __init__(self, mixing: float, phi: float, label_smoothing: float):
        super().__init__()
        self.mixing, self.phi, self.label_smoothing, self.reduction = mixing, phi, label_smoothing, "mean"

    def forward(self, y: Tensor, labels: Tensor) -> Tensor:
        entropy = functional.cross_entropy(y, labels, reduction="none", label_smoothing=self.label_smoothing)
        values = (1 - self.mixing) * entropy + self.mixing * (y - self.phi).square().mean(1)
        return values if self.reduction == "none" else torch.mean(values)

    def extra_repr(self) -> str:
        return f"mixing={self.mixing:g}, phi={self.phi:g}"
