"""The norm that a word names."""

from torch import nn

from ..core.checks import one_of
from ..core.stepwise import Stepwise
from .threshold_batch_norm import ThresholdBatchNorm

NORMS = ("batch", "threshold", "layer", "none")
"""What keeps the currents of order one."""


def normalization(
    owner: str, kind: str, features: int, axes: int = 0, *, gain: float = 1.0, alpha: float = 1.0
) -> nn.Module:
    """The norm of frames [B, features, \\*].

    Args:
        owner: who asks, for messages.
        kind: ``"batch"``, ``"threshold"`` (tdBN to a threshold of ``gain``), ``"layer"`` (over channels and pixels) or
            ``"none"``.
        features: number of channels.
        axes: how many axes there are behind the channels: 0, 1 or 2.
        gain: the scale at the start.
        alpha: further scale of ``"threshold"``.

    Raises:
        ValueError: if ``kind`` is none of the four.
    """
    one_of(owner, "norm", kind, *NORMS)
    if kind == "none":
        return nn.Identity()
    if kind == "threshold":
        return ThresholdBatchNorm(features, v_th=gain, alpha=alpha)
    if kind == "batch":
        norm = nn.BatchNorm2d(features) if axes == 2 else nn.BatchNorm1d(features)
    else:
        # One group over channels and pixels is layer normalization that does not depend on the image's size.
        norm = nn.GroupNorm(1, features)
    nn.init.constant_(norm.weight, gain)
    return Stepwise(norm)
