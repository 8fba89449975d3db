"""A price on rates outside of bounds."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.checks import positive_number
from .activity import ActivityPenalty, LayerSpikes


class RateBounds(ActivityPenalty):
    r"""A price on neurons that fire too little, or too much.

    .. math:: P = strength \sum_{layers} \frac{1}{N} \sum_i \Bigl[
        \max\Bigl(0, 1 - \frac{r_i}{r_{lower}}\Bigr)^2 + \max\Bigl(0, \frac{r_i}{r_{upper}} - 1\Bigr)^2 \Bigr]

    with the rate :math:`r_i` of each neuron over the batch. A neuron that never fires costs ``strength / N``; the
    surrogate gradient brings it back.

    Args:
        lower: rate below which a neuron pays, Hz; 0: none pays for silence.
        upper: rate above which a neuron pays, Hz; omitted: none pays for it.
        strength: factor of the sum.
        layers: names of the layers that are judged, as in the model; all of them if omitted.

    Shape:
        - input: what :func:`~torchdyn_neuro.losses.watching` has kept
        - output: scalar

    Raises:
        ValueError: if a rate or ``strength`` is negative, or ``upper`` lies below ``lower``.

    Source: Cramer et al. (2022), IEEE Trans. Neural Netw. Learn. Syst. 33:2744 (bounds on spike counts; there in
    counts, and the upper one for the mean of a layer).

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> cell = tdn.LIF()
        >>> with tdn.losses.watching(cell) as activity:
        ...     spikes = cell(torch.full((100, 1, 2), 2.0))  # 70 Hz
        >>> RateBounds(upper=35.0)(activity)
        tensor(1.)
    """

    def __init__(
        self,
        *,
        lower: float = 0.0,
        upper: float | None = None,
        strength: float = 1.0,
        layers: Sequence[str] | None = None,
    ):
        super().__init__(strength=strength, layers=layers)
        self.lower = positive_number("RateBounds", "lower", lower, zero=True, unit="Hz")
        self.upper = None if upper is None else positive_number("RateBounds", "upper", upper, unit="Hz")
        if self.upper is not None and self.upper < self.lower:
            raise ValueError(
                f"RateBounds: expected upper at or above lower, got {upper:g} below {lower:g} Hz; exchange them"
            )

    def price(self, layer: LayerSpikes) -> Tensor:
        rate = layer.share() * (1000 / layer.dt)
        price = torch.zeros_like(rate)
        if self.lower:
            price = price + (1 - rate / self.lower).relu().square()
        if self.upper is not None:
            price = price + (rate / self.upper - 1).relu().square()
        return price.mean()

    def extra_repr(self) -> str:
        upper = "" if self.upper is None else f", upper={self.upper:g} Hz"
        return f"lower={self.lower:g} Hz{upper}, {super().extra_repr()}"
