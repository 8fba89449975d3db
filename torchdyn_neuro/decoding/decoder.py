"""What a decoder is: a sequence in, one value per class out."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core.lengths import check_lengths


class Decoder(nn.Module):
    r"""Base of the decoders.

    A subclass writes ``decode``. One that can read while time goes on also writes ``keep``, what it keeps of all frames
    so far, and ``finish``, what that comes to; learning that goes forward in time asks for both.

    Sequences of several lengths come padded to one, with their ``lengths``: what stands behind the last real step of a
    row is not read, and a row gives, bit for bit, what it gives alone.

    Shape:
        - input: [T, B, C], and lengths [B], whole numbers from 1 to T, if not all rows last T steps
        - output: [B, C], float32 or wider

    Raises:
        ValueError: if the input is not [T, B, C], or the lengths do not fit it.
        TypeError: if the lengths are no whole numbers.
    """

    keep: ClassVar[Callable[..., Tensor] | None] = None
    """``(kept, y_t)``: what is kept of all frames, after one more."""

    elementwise: ClassVar[bool] = True
    """Whether ``keep`` acts on each element by itself; what goes forward in time neuron by neuron asks for that."""

    def forward(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        if y.ndim != 3:
            raise ValueError(
                f"{type(self).__name__}: expected the outputs of a network [T, B, C], got shape {tuple(y.shape)}; "
                "keep the time axis and flatten what lies behind the batch"
            )
        if lengths is not None:
            lengths = check_lengths(type(self).__name__, lengths, y.shape[1], len(y)).to(y.device)
        return self.decode(y.to(wide(y)), lengths)

    def decode(self, y: Tensor, lengths: Tensor | None) -> Tensor:
        """The value of each class, from the real steps alone."""
        raise NotImplementedError(f"{type(self).__name__} does not define decode(y, lengths)")

    def start(self, y_t: Tensor) -> Tensor:
        """What is kept before the first frame."""
        return torch.zeros_like(y_t, dtype=wide(y_t))

    def finish(self, kept: Tensor, steps: int | Tensor) -> Tensor:
        """The value of each class, from what is kept of ``steps`` frames: one number, or one for each row, [B, 1]."""
        return kept


def wide(y: Tensor) -> torch.dtype:
    """What outputs are read in: their type, or float32 where that is narrower, for bfloat16 counts to 256 only.

    Spikes may come as truth values.
    """
    return torch.promote_types(y.dtype, torch.float32) if y.is_floating_point() else torch.get_default_dtype()


def keep_real(decoder: Decoder, kept: Tensor, y_t: Tensor, step: int, lengths: Tensor | None) -> Tensor:
    """What a decoder keeps after a step, the first being 0; of rows that are over, what it has kept."""
    after = decoder.keep(kept, y_t)
    return after if lengths is None else torch.where((lengths > step).unsqueeze(1), after, kept)


def real_so_far(lengths: Tensor | None, steps: int) -> int | Tensor:
    """The number of real steps among the first ones, of all rows or of each, [B, 1]."""
    return steps if lengths is None else lengths.clamp(max=steps).unsqueeze(1)
