"""Reading out rates."""

from torch import Tensor

from ..core.checks import positive_number
from ..core.lengths import step_counts, total
from .decoder import Decoder


class SpikeRate(Decoder):
    r"""The firing rate of each class, Hz.

    .. math:: z_c = \frac{1000}{T\, dt} \sum_t s_{t,c}

    Unlike counts, rates of samples of different lengths can be compared.

    Args:
        dt: time step, ms.

    Shape:
        - input: [T, B, C] spikes, and lengths [B]
        - output: [B, C]

    Raises:
        ValueError: if ``dt`` is not positive.

    Example:
        >>> import torch
        >>> SpikeRate(dt=2.0)(torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]]]))
        tensor([[250.,   0.]])
    """

    def __init__(self, *, dt: float = 1.0):
        super().__init__()
        self.dt = positive_number("SpikeRate", "dt", dt, unit="ms")

    def decode(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        return total(y, lengths) * (1000 / self.dt) / step_counts(y, lengths)

    def keep(self, kept: Tensor, y_t: Tensor) -> Tensor:
        return kept + y_t

    def finish(self, kept: Tensor, steps: int | Tensor) -> Tensor:
        return kept * (1000 / self.dt) / steps

    def extra_repr(self) -> str:
        return f"dt={self.dt:g} ms"
