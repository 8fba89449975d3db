"""Rate coding with Poisson spike trains."""

import torch
from torch import Tensor

from ..core.checks import positive_number
from .encoder import Encoder, draw_spikes


class Poisson(Encoder):
    r"""Every value becomes the rate of a Poisson spike train, at most one spike per step.

    .. math:: P(\text{spike in a step}) = \mathrm{clip}(x\, r_{max}\, dt / 1000,\ 0,\ 1)

    Args:
        steps: length T of the sequence.
        max_rate: rate of the value 1, Hz.
        dt: time step, ms.

    Shape:
        - input: [B, \*], values usually within 0 and 1
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``steps``, ``max_rate`` or ``dt`` is not positive.

    Source: Dayan & Abbott (2001), Theoretical Neuroscience, ch. 1.4.

    Example:
        >>> import torch
        >>> spikes = Poisson(steps=1000, max_rate=100.0)(torch.full((1, 8), 0.5), torch.Generator().manual_seed(0))
        >>> bool((spikes.mean() * 1000 - 50).abs() < 10)  # Hz
        True
    """

    def __init__(self, steps: int, *, max_rate: float = 100.0, dt: float = 1.0):
        super().__init__(steps, dt=dt)
        self.max_rate = positive_number("Poisson", "max_rate", max_rate, unit="Hz")

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw the spikes, from ``generator`` or else from the default one of torch."""
        self.check_input(x)
        return draw_spikes((x * (self.max_rate * self.dt / 1000)).clamp(0, 1), self.steps, generator)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, max_rate={self.max_rate:g} Hz"
