"""Which layers of torch take a sequence [T, B, *] for a batch of T samples."""

from torch import nn

from ..core.torch_private import ConvNd, NormBase

_CHANNELS_SECOND = (
    ConvNd,
    NormBase,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.Softmax2d,
    nn.ChannelShuffle,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.Upsample,
    nn.Fold,
    nn.Unfold,
)
"""Layers for [N, C, *], to which the batch of a sequence would be the channels."""


def reads_time_as_batch(layer: nn.Module) -> bool:
    """Whether a layer of torch mixes up time and batch of a sequence [T, B, \\*], or fails on it.

    Example:
        >>> [reads_time_as_batch(layer) for layer in (nn.Linear(2, 2), nn.Flatten(), nn.Flatten(2), nn.BatchNorm1d(4))]
        [False, True, False, True]
    """
    if isinstance(layer, nn.Flatten):
        return 0 <= layer.start_dim < 2
    if isinstance(layer, nn.Unflatten):
        return layer.dim in (0, 1)
    if isinstance(layer, (nn.MultiheadAttention, nn.RNNBase)):
        return layer.batch_first
    if isinstance(layer, nn.TransformerEncoderLayer):
        return layer.self_attn.batch_first
    if isinstance(layer, nn.TransformerEncoder):
        return any(reads_time_as_batch(child) for child in layer.layers)
    # One-dimensional pooling of [T, B, F] pools the neurons of each row and step, as it should.
    pools = type(layer).__module__ == "torch.nn.modules.pooling" and not type(layer).__name__.endswith("1d")
    return pools or isinstance(layer, _CHANNELS_SECOND)
