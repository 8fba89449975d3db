"""How much a population moves as one."""

import torch
from torch import Tensor


def synchrony(signals: Tensor) -> Tensor:
    r"""Golomb's measure: how much of the variance of the single signals is left in their mean.

    .. math:: \chi = \sqrt{\frac{\mathrm{var}_t \langle x_i \rangle_i}{\langle \mathrm{var}_t\, x_i \rangle_i}}

    It is 1 where all signals are the same, and falls as :math:`1 / \sqrt{N}` where they are independent. Of spikes
    take counts in bins, or smooth them, for no two spikes coincide on a fine grid.

    Args:
        signals: [T, \*, N], for example potentials or rates.

    Returns:
        [\*], differentiable; NaN where no signal varies.

    Raises:
        ValueError: if there are fewer than two times or two signals.
        TypeError: if they are no tensor of floats.

    Source: Golomb & Rinzel (1994), Physica D 72:259; Golomb (2007), Scholarpedia 2(1):1347.

    Example:
        >>> wave = torch.sin(torch.linspace(0, 20, 200))
        >>> round(synchrony(torch.stack([wave, wave], -1)).item(), 4)
        1.0
    """
    if not isinstance(signals, Tensor) or not signals.is_floating_point():
        got = signals.dtype if isinstance(signals, Tensor) else type(signals).__name__
        raise TypeError(f"synchrony: expected signals [T, *, N] of floats, got {got}; call .float()")
    if signals.ndim < 2 or signals.shape[0] < 2 or signals.shape[-1] < 2:
        raise ValueError(
            f"synchrony: expected at least two times and two signals [T, *, N], got shape {tuple(signals.shape)}; put "
            "time first and the population last"
        )
    single = signals.var(0, correction=0).mean(-1)
    common = signals.mean(-1).var(0, correction=0)
    varies = single > 0
    ratio = torch.where(varies, common, 1.0) / torch.where(varies, single, 1.0)
    return torch.where(varies, ratio.sqrt(), torch.nan)
