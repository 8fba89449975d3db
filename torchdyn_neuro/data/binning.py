"""From events to frames, and the norm of each channel."""

import torch
from torch import Tensor
from torch.nn import functional

from ..core.checks import positive_number, whole_number


def bin_events(rows: Tensor, times: Tensor, units: Tensor, lengths: Tensor, *, dt: float, channels: int) -> Tensor:
    r"""Count the events of each unit in each step; step n holds those from n dt up to, but not at, (n + 1) dt.

    Args:
        rows: sample of each event, [E].
        times: when it happened, ms, [E].
        units: where, [E].
        lengths: steps of each sample, [B]; what lies beyond them is left out, as is a unit that does not exist.
        dt: width of a step, ms.
        channels: number of units.

    Returns:
        Counts [B, T, channels], float32, zero from the end of a sample on; T is the greatest length.

    Example:
        >>> rows, times, units = torch.tensor([[0, 0, 0], [0, 1, 10], [1, 1, 0]])
        >>> bin_events(rows, times, units, torch.tensor([2]), dt=10.0, channels=2).tolist()
        [[[0.0, 2.0], [1.0, 0.0]]]
    """
    positive_number("bin_events", "dt", dt, unit="ms")
    batch, steps = len(lengths), int(lengths.max())
    step = torch.floor(times / dt).long()
    kept = (step >= 0) & (step < lengths[rows]) & (units >= 0) & (units < channels)
    place = ((rows * steps + step) * channels + units)[kept]
    counts = torch.zeros(batch * steps * channels)
    counts.index_add_(0, place, torch.ones(len(place)))
    return counts.view(batch, steps, channels)


def normalize_channels(frames: Tensor, lengths: Tensor, *, smooth: int = 9, floor: float = 0.1) -> Tensor:
    r"""Divide each channel by its own mean in the sample, as cepstral mean normalisation takes the voice out of speech.

    .. math:: y_{tc} = \frac{x_{tc}}{\max(s_c, \epsilon\, \bar s)}, \qquad
        s_c = \text{mean over the channels near } c \text{ of } \frac1T \sum_t x_{tc}

    It needs the whole sample. A sample without events stays zero.

    Args:
        frames: counts, zero beyond the length of a sample, [B, T, C].
        lengths: steps of each sample, [B].
        smooth: number of neighbouring channels, an odd number, over which the means are averaged; fewer at the edges.
        floor: share :math:`\epsilon` of the mean over all channels below which no divisor falls.

    Raises:
        ValueError: if ``smooth`` is even.

    Source: Furui (1981), IEEE Trans. Acoust. 29:254 (there the logarithm, from which the mean is taken).

    Example:
        >>> normalize_channels(torch.tensor([[[4.0], [0.0]]]), torch.tensor([2])).tolist()
        [[[2.0], [0.0]]]
    """
    whole_number("normalize_channels", "smooth", smooth, 1)
    if smooth % 2 == 0:
        raise ValueError(f"normalize_channels: expected an odd number of channels, got {smooth}; add one")
    mean = frames.sum(1) / lengths[:, None]
    near = functional.avg_pool1d(mean[:, None], smooth, 1, smooth // 2, count_include_pad=False)[:, 0]
    divisor = torch.maximum(near, floor * mean.mean(1, keepdim=True))
    return frames / torch.where(divisor > 0, divisor, 1.0)[:, None]
