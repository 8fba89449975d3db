"""What can be done with a tensor: whether its values can be looked at, whether it stands for one of another shape."""

from collections.abc import Sequence
from typing import Protocol

from torch import Size, Tensor, nn


class HasStart(Protocol):
    """A quantity."""

    @property
    def start(self) -> Tensor: ...


def readable(*values: Tensor | HasStart) -> bool:
    """Whether the values of tensors and quantities can be looked at: not those on the meta device or under a fake mode.

    Every check of a value asks this first, so that a model can be built before there is memory for it.

    Example:
        >>> import torch
        >>> readable(torch.ones(2)), readable(torch.ones(2, device="meta"))
        (True, False)
    """
    return all(_has_values(value if isinstance(value, Tensor) else value.start) for value in values)


def _has_values(tensor: Tensor) -> bool:
    if tensor.is_meta:
        return False
    # A fake tensor says that it is on the device which it stands for; its memory is not.
    plain = type(tensor) in (Tensor, nn.Parameter, nn.Buffer)
    return plain or tensor.untyped_storage().device.type != "meta"


def expanded(entry: Tensor, shape: Size) -> Tensor | None:
    """A tensor of that shape with the values of ``entry``; ``None`` if ``entry`` holds more."""
    if entry.shape == shape:
        return entry
    if entry.numel() == 1 and not shape:
        return entry.reshape(())
    if len(entry.shape) > len(shape):
        return None
    return entry.expand(shape).clone() if last_axes_fit(entry.shape, shape) else None


def last_axes_fit(shape: Sequence[int], target: Sequence[int]) -> bool:
    """Whether each axis of ``shape`` that ``target`` has too, counted from the last, is as long or of size one.

    Example:
        >>> last_axes_fit((1, 3), (4, 2, 3)), last_axes_fit((2,), (4, 2, 3))
        (True, False)
    """
    # Both are cut to one length, for the compiler of torch 2.9 takes every zip for a strict one.
    count = min(len(shape), len(target))
    pairs = zip(shape[len(shape) - count :], target[len(target) - count :], strict=True)
    return all(size in (1, goal) for size, goal in pairs)
