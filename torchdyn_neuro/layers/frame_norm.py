"""Batch normalization of frames, whatever their number of axes."""

from torch import Tensor, nn


class FrameNorm(nn.BatchNorm2d):
    r"""``nn.BatchNorm1d``, ``2d`` and ``3d`` in one: frames [N, C, \*] with any number of axes behind the channels.

    Args:
        features: number of channels C.
        weight: the scale at the start.
        eps: added to the variance.
        momentum: how fast the running statistics follow.

    Shape:
        - input: [N, C, \*]
        - output: the same
    """

    def __init__(self, features: int, *, weight: float = 1.0, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__(features, eps=eps, momentum=momentum)
        nn.init.constant_(self.weight, weight)

    def _check_input_dim(self, input: Tensor) -> None:
        check_channels("FrameNorm", input, self.num_features)


def check_channels(owner: str, frames: Tensor, features: int) -> None:
    """Raise unless ``frames`` are [N, features, \\*]."""
    if frames.ndim < 2 or frames.shape[1] != features:
        raise ValueError(
            f"{owner}: expected frames [B, {features}, *], got shape {tuple(frames.shape)}; give it as many features "
            "as there are channels, on the first axis behind the batch"
        )
