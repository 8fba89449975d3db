"""Padded sequences: what of [T, B, \\*] is real, and sums over that which do not depend on the padding."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def check_lengths(owner: str, lengths: Any, rows: int, steps: int | None = None, *, least: int = 1) -> Tensor:
    """``lengths`` as whole numbers [B], if they are those of sequences that were padded to ``steps``.

    Args:
        owner: who asks, for messages.
        lengths: number of real steps of each row, [B].
        rows: size B of the batch.
        steps: length T that all rows were padded to; not looked at if omitted.
        least: the fewest real steps that a row may have.

    Raises:
        TypeError: if they are no tensor of whole numbers.
        ValueError: if there is not one for each row, or one is not from ``least`` to ``steps``.

    Example:
        >>> check_lengths("loss", torch.tensor([3, 1]), 2, 3)
        tensor([3, 1])
    """
    if not isinstance(lengths, Tensor) or lengths.dtype.is_floating_point or lengths.dtype is torch.bool:
        got = lengths.dtype if isinstance(lengths, Tensor) else type(lengths).__name__
        raise TypeError(
            f"{owner}: expected lengths as a tensor of whole numbers [B], got {got}; pass the number of real steps of "
            "each row (of a mask [T, B]: mask.sum(0))"
        )
    if lengths.shape != (rows,):
        raise ValueError(
            f"{owner}: expected one length for each of the {rows} rows, got shape {tuple(lengths.shape)}; pass [B]"
        )
    if rows and not torch.compiler.is_compiling():
        lowest, highest = (int(end) for end in lengths.aminmax())
        if lowest < least or (steps is not None and highest > steps):
            most = "" if steps is None else f" to {steps}"
            raise ValueError(
                f"{owner}: expected lengths from {least}{most}, the steps that there are, got {lowest} to {highest}; "
                "count the real steps of each row, and leave empty samples out"
            )
    return lengths.long()


def padding(lengths: Tensor, steps: int) -> Tensor:
    """Which frames are padding, [T, B].

    Example:
        >>> padding(torch.tensor([2, 1]), 2).tolist()
        [[False, False], [False, True]]
    """
    return torch.arange(steps, device=lengths.device)[:, None] >= lengths


def fill_padding(y: Tensor, lengths: Tensor | None, value: float = 0.0) -> Tensor:
    """``y`` [T, B, \\*] with one value in the place of all padding, whatever stands there; no gradient goes there."""
    if lengths is None:
        return y
    mask = padding(lengths.to(y.device), len(y))
    return y.masked_fill(mask.reshape(*mask.shape, *[1] * (y.ndim - 2)), value)


def total(y: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The sum of ``y`` [T, B, \\*] over the real steps of each row, [B, \\*].

    Each step is added to its neighbour, then each pair to its neighbour, and so on: unlike those of ``y.sum(0)``, the
    bits of a row depend neither on what it was padded to nor on the rows beside it.

    Example:
        >>> total(torch.tensor([[1.0, 1.0], [2.0, 2.0]]), torch.tensor([2, 1]))
        tensor([3., 1.])
    """
    dtype = y.dtype if y.is_floating_point() else torch.int64
    # Narrow types are summed in float32, as torch sums them.
    sums = fill_padding(y, lengths).to(torch.promote_types(dtype, torch.float32) if y.is_floating_point() else dtype)
    while len(sums) > 1:
        if len(sums) % 2:
            sums = functional.pad(sums, [0] * (2 * sums.ndim - 1) + [1])
        # Two values have one sum; that of more depends on the order.
        sums = sums.unflatten(0, (-1, 2)).sum(1)
    return sums[0].to(dtype)


def step_counts(y: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The number of real steps of each row of ``y`` [T, B, \\*] in its type, to divide by: [B, 1, ...]."""
    # Of a plain number torch would take the reciprocal on some devices, with other bits.
    shape, dtype = (y.shape[1], *[1] * (y.ndim - 2)), y.dtype if y.is_floating_point() else torch.get_default_dtype()
    if lengths is None:
        return torch.full(shape, len(y), dtype=dtype, device=y.device)
    return lengths.to(y.device, dtype).reshape(shape)


def last(y: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The last real frame of each row of ``y`` [T, B, \\*], [B, \\*].

    Example:
        >>> last(torch.tensor([[1.0, 1.0], [2.0, 2.0]]), torch.tensor([2, 1]))
        tensor([2., 1.])
    """
    if lengths is None:
        return y[-1]
    return y[lengths.to(y.device) - 1, torch.arange(y.shape[1], device=y.device)]
