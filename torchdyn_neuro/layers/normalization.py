"""The norm that a word names."""

from torch import nn

from ..core.checks import one_of
from ..core.stepwise import Stepwise
from .frame_norm import FrameNorm
from .threshold_batch_norm import ThresholdBatchNorm

NORMS = ("batch", "threshold", "layer", "none")
"""What keeps the currents of order one."""


def normalization(owner: str, kind: str, features: int, *, gain: float = 1.0, alpha: float = 1.0) -> nn.Module:
    """The norm of frames [B, features, \\*].

    Args:
        owner: who asks, for messages.
        kind: ``"batch"``, ``"threshold"`` (tdBN to a threshold of ``gain``), ``"layer"`` (over channels and pixels) or
            ``"none"``.
        features: number of channels.
        gain: the scale at the start.
        alpha: further scale of ``"threshold"``.

    Raises:
        ValueError: if ``kind`` is none of the four.
    """
    one_of(owner, "norm", kind, *NORMS)
    if kind == "none":
        return nn.Identity()
    if kind == "batch":
        return Stepwise(FrameNorm(features, weight=gain))
    if kind == "threshold":
        return ThresholdBatchNorm(features, v_th=gain, alpha=alpha)
    # One group over channels and pixels is layer normalization that does not depend on the image's size.
    norm = nn.GroupNorm(1, features)
    nn.init.constant_(norm.weight, gain)
    return Stepwise(norm)
