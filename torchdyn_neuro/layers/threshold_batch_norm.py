"""Threshold-dependent batch normalization, tdBN."""

from ..core.checks import positive_number
from ..core.stepwise import Stepwise
from .frame_norm import FrameNorm


class ThresholdBatchNorm(Stepwise):
    r"""Batch normalization over time and batch at once, to the scale of the threshold: tdBN.

    .. math:: y = \lambda\, \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta, \qquad
        \lambda = \alpha V_{th} \text{ at the start}

    Mean and variance of a channel are those of all frames, rows and pixels, so currents reach the threshold whatever
    the weights. Of :func:`padded` sequences the real frames count alone.

    Args:
        features: number of channels C.
        v_th: threshold of the neurons behind.
        alpha: share of this branch: 1, or :math:`1/\sqrt{2}` where two of them are added.
        eps: added to the variance.
        momentum: how fast the running statistics follow.

    Shape:
        - input: [T, B, C, \*]
        - output: the same

    Raises:
        ValueError: if a number is not positive; from ``forward`` for another number of channels.

    Source: Zheng, Wu, Deng, Hu & Li (2021), AAAI 35:11062.

    Example:
        >>> import torch
        >>> y = ThresholdBatchNorm(4, v_th=0.5)(torch.randn(10, 3, 4, 8, 8) + 7)
        >>> abs(round(y.mean().item(), 3)), round(y.std().item(), 3)
        (0.0, 0.5)
    """

    def __init__(
        self, features: int, *, v_th: float = 1.0, alpha: float = 1.0, eps: float = 1e-5, momentum: float = 0.1
    ):
        owner = type(self).__name__
        weight = positive_number(owner, "v_th", v_th) * positive_number(owner, "alpha", alpha)
        super().__init__(FrameNorm(features, weight=weight, eps=eps, momentum=momentum))
        self.v_th, self.alpha = v_th, alpha
        self.features, self.eps, self.momentum = features, eps, momentum
