"""A price on spikes."""

from collections.abc import Sequence

from torch import Tensor

from ..core.checks import positive_number
from .activity import ActivityPenalty, LayerSpikes


class SpikeSparsity(ActivityPenalty):
    r"""A price on every spike.

    .. math:: P = strength \sum_{layers} \frac{1}{N} \sum_i p_i^{\,order}

    with the share :math:`p_i` of all steps in which a neuron fires, over the batch. Order 1 prices all spikes alike and
    so makes few neurons do the work; order 2 prices those of busy neurons higher and spreads it.

    Args:
        order: power of the share.
        strength: factor of the sum.
        layers: names of the layers that are judged, as in the model; all of them if omitted.

    Shape:
        - input: what :func:`~torchdyn_neuro.losses.watching` has kept
        - output: scalar

    Raises:
        ValueError: if ``order`` is not positive, or ``strength`` is negative.

    Source: Sorbaro et al. (2020), Front. Neurosci. 14:662 (order 1, there by synaptic operations); Zenke & Vogels
    (2021), Neural Comput. 33:899 (both orders).

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> cell = tdn.LIF()
        >>> with tdn.losses.watching(cell) as activity:
        ...     spikes = cell(torch.full((100, 1, 2), 2.0))
        >>> SpikeSparsity(strength=10.0)(activity)
        tensor(0.7000)
    """

    def __init__(self, *, order: float = 1.0, strength: float = 1.0, layers: Sequence[str] | None = None):
        super().__init__(strength=strength, layers=layers)
        self.order = positive_number("SpikeSparsity", "order", order)

    def price(self, layer: LayerSpikes) -> Tensor:
        share = layer.share()
        return (share if self.order == 1 else share**self.order).mean()

    def extra_repr(self) -> str:
        return f"order={self.order:g}, {super().extra_repr()}"
