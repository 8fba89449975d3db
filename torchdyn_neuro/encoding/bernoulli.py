"""Rate coding with a given spike probability per step."""

import torch
from torch import Tensor

from .encoder import Encoder, draw_spikes


class Bernoulli(Encoder):
    r"""Every value is the probability of a spike in each step, whatever the length of a step.

    .. math:: P(\text{spike in a step}) = \mathrm{clip}(x,\ 0,\ 1)

    Args:
        steps: length T of the sequence.
        dt: time step, ms.

    Shape:
        - input: [B, \*]
        - output: [T, B, \*] spikes, 0 or 1

    Raises:
        ValueError: if ``steps`` or ``dt`` is not positive.

    Example:
        >>> import torch
        >>> Bernoulli(steps=2)(torch.tensor([[0.0, 1.0]])).tolist()
        [[[0.0, 1.0]], [[0.0, 1.0]]]
    """

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw the spikes, from ``generator`` or else from the default one of torch."""
        self.check_input(x)
        return draw_spikes(x.clamp(0, 1), self.steps, generator)
