"""Images row by row."""

from collections.abc import Sequence

from torch import Tensor

from ..core.checks import positive_number
from .encoder import Encoder


class Rows(Encoder):
    r"""Images become sequences: the rows come one after the other, from the top, each held for equally many steps.

    Args:
        steps: length T of the sequence, a multiple of the number of rows.
        gain: current per unit of the value.
        dt: time step, ms.

    Shape:
        - input: [B, \*, rows, columns]
        - output: [T, B, \*, columns]

    Raises:
        ValueError: if ``steps``, ``gain`` or ``dt`` is not positive; from ``forward`` if ``steps`` is no multiple of
            the number of rows, or the input is no image.

    Source: Le, Jaitly & Hinton (2015), arXiv:1504.00941 (images as sequences, there pixel by pixel).

    Example:
        >>> import torch
        >>> Rows(steps=4)(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
        [[[1.0, 2.0]], [[1.0, 2.0]], [[3.0, 4.0]], [[3.0, 4.0]]]
    """

    def __init__(self, steps: int, *, gain: float = 1.0, dt: float = 1.0):
        super().__init__(steps, dt=dt)
        self.gain = positive_number("Rows", "gain", gain)

    def frame_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        if len(shape) < 2:
            raise ValueError(f"Rows: expected images [*, rows, columns], got samples {tuple(shape)}; keep the rows")
        return (*shape[:-2], shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        if x.ndim < 3:
            raise ValueError(f"Rows: expected images [B, *, rows, columns], got shape {tuple(x.shape)}; keep the rows")
        rows = x.shape[-2]
        if self.steps % rows:
            raise ValueError(
                f"Rows: expected steps to be a multiple of the {rows} rows of the images, got {self.steps}; pass e.g. "
                f"steps={rows}"
            )
        return (self.gain * x).movedim(-2, 0).repeat_interleave(self.steps // rows, 0)
