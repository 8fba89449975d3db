"""What an encoder is: static values in, a sequence out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core.checks import positive_number


class Encoder(nn.Module):
    r"""Base of the encoders, which turn values [B, \*] into a sequence [T, B, \*].

    Args:
        steps: length T of the sequence.
        dt: time step, ms.

    Shape:
        - input: [B, \*]
        - output: [T, B, \*]

    Raises:
        ValueError: if ``steps`` or ``dt`` is not positive.
        TypeError: if ``steps`` is not an integer, or the input is not a floating-point tensor.
    """

    def __init__(self, steps: int, *, dt: float = 1.0):
        super().__init__()
        owner = type(self).__name__
        if isinstance(steps, bool) or not isinstance(steps, int):
            raise TypeError(f"{owner}: expected steps to be an integer, got {steps!r}; pass the number of time steps")
        if steps < 1:
            raise ValueError(f"{owner}: expected at least 1 step, got {steps}; pass the number of time steps")
        self.steps = steps
        self.dt = positive_number(owner, "dt", dt, unit="ms")

    def frame_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of one frame, of samples of this shape; the same unless a subclass says otherwise."""
        return tuple(shape)

    def check_input(self, x: Tensor) -> None:
        """Raise if ``x`` is not a batch of floats."""
        owner = type(self).__name__
        if not isinstance(x, Tensor) or not x.is_floating_point():
            got = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"{owner}: expected a floating-point tensor [B, *], got {got}; call x.float() first")
        if x.ndim < 2:
            raise ValueError(f"{owner}: expected values [B, *], got shape {tuple(x.shape)}; put the batch first")

    def extra_repr(self) -> str:
        return f"steps={self.steps}, dt={self.dt:g} ms"


def draw_spikes(probability: Tensor, steps: int, generator: torch.Generator | None) -> Tensor:
    """Independent 0/1 spikes [steps, \\*] with a probability per step."""
    everywhere = probability.unsqueeze(0).expand(steps, *probability.shape)
    return torch.bernoulli(everywhere, generator=generator)
