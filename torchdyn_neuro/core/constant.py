"""Sequences whose frames are all the same: layers that know no time see them once."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from .layers import has_hooks
from .stepwise import holds_dynamics
from .torch_private import DropoutNd, NormBase

_FOLDERS = ("core", "connections", "activity", "layers")
_KNOWN = ("torch.nn.modules.", *(f"torchdyn_neuro.{folder}." for folder in _FOLDERS))
"""Where layers come from whose code is known to give the same for the same frame."""
_RANDOM = (DropoutNd, nn.RReLU)
_OTHERS = (
    *(nn.MultiheadAttention, nn.RNNBase, nn.Transformer, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer),
    *(nn.FractionalMaxPool2d, nn.FractionalMaxPool3d),
)
"""Layers of torch that are random in evaluation too, or have a dropout that is no module."""


def is_constant(x: Any) -> bool:
    """Whether all frames of a sequence [T, B, \\*] are one in memory, as :class:`DirectCurrent` puts them out."""
    return isinstance(x, Tensor) and x.ndim > 1 and x.stride(0) == 0 and x.shape[0] > 1


def over_time(layer: nn.Module, x: Any, run: Callable[[Any], Any]) -> Any:
    """A layer without time on a sequence; on the frame of a constant one only once, where that is the same.

    It is the same, but for rounding, for the layers of torch and of this library, also inside each other. All frames
    go through a layer that somebody watches by a hook, that draws random numbers (dropout that trains), or whose code
    is not known; and through a norm over the batch that trains, for its running variance counts them, but what is
    behind such a norm gets one frame again.

    Args:
        layer: maps [T, B, \\*] to [T, B, \\*].
        x: a sequence.
        run: how the layer is called on a sequence of any length.

    Example:
        >>> import torch
        >>> over_time(layer := nn.Linear(3, 4), torch.ones(1, 2, 3).expand(10, 2, 3), layer).stride()
        (0, 4, 1)
    """
    if not is_constant(x) or holds_dynamics(layer):
        return run(x)
    parts = list(layer.modules())
    if not all(map(_is_known, parts)):
        return run(x)
    # Without running statistics those of the batch count, from the real frames of a padded sequence alone.
    y = run(x if any(isinstance(p, NormBase) and (p.training or p.running_mean is None) for p in parts) else x[:1])
    return y[:1].expand(x.shape[0], *y.shape[1:]) if isinstance(y, Tensor) else run(x)


def _is_known(part: nn.Module) -> bool:
    if has_hooks(part) or "forward" in vars(part) or isinstance(part, _OTHERS):
        return False
    return type(part).__module__.startswith(_KNOWN) and not (isinstance(part, _RANDOM) and part.training)
