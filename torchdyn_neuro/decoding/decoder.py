"""What a decoder is: a sequence in, one value per class out."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn


class Decoder(nn.Module):
    r"""Base of the decoders.

    A subclass writes ``decode``. One that can read while time goes on also writes ``keep``, what it keeps of all frames
    so far, and ``finish``, what that comes to; learning that goes forward in time asks for both.

    Shape:
        - input: [T, B, C]
        - output: [B, C]

    Raises:
        ValueError: if the input is not [T, B, C].
    """

    keep: ClassVar[Callable[..., Tensor] | None] = None
    """``(kept, y_t)``: what is kept of all frames, after one more; it acts on each element by itself."""

    def forward(self, y: Tensor) -> Tensor:
        if y.ndim != 3:
            raise ValueError(
                f"{type(self).__name__}: expected the outputs of a network [T, B, C], got shape {tuple(y.shape)}; "
                "keep the time axis and flatten what lies behind the batch"
            )
        return self.decode(y)

    def decode(self, y: Tensor) -> Tensor:
        """The value of each class."""
        raise NotImplementedError(f"{type(self).__name__} does not define decode(y)")

    def start(self, y_t: Tensor) -> Tensor:
        """What is kept before the first frame."""
        return torch.zeros_like(y_t)

    def finish(self, kept: Tensor, steps: int) -> Tensor:
        """The value of each class, from what is kept of ``steps`` frames."""
        return kept
