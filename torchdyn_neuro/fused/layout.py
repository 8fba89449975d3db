"""How frames and parameters lie in memory."""

from collections.abc import Sequence

from torch import Tensor


def memory_order(frame: Tensor) -> list[int] | None:
    """The axes of a frame as they lie in memory, such as channels last; ``None`` if in order or with gaps.

    A loop that treats each element by itself takes them in any order: no copy, and the result lies as the input does.
    """
    if frame.is_contiguous():
        return None
    order = sorted(range(frame.ndim), key=lambda axis: -frame.stride(axis))
    return order if frame.permute(order).is_contiguous() else None


def laid_out_all(
    parameters: Sequence[Tensor], frame: Sequence[int], numbers: Tensor | None = None
) -> tuple[list[Tensor], list[int]]:
    """:func:`laid_out` of every parameter, and the plain numbers behind them, which no frame goes with."""
    pairs = [laid_out(parameter, frame) for parameter in parameters]
    if numbers is not None:
        pairs.append((numbers, 1))
    return [parameter for parameter, _ in pairs], [inner for _, inner in pairs]


def laid_out(parameter: Tensor, frame: Sequence[int]) -> tuple[Tensor, int]:
    """A parameter whose flat entry ``(i // inner) % numel`` belongs to element i of the frame, and ``inner``."""
    axes = frame[len(frame) - parameter.ndim :]
    varying = [axis for axis, size in enumerate(parameter.shape) if size != 1]
    if not varying:
        return parameter, 1
    first, last = varying[0], varying[-1]
    if any(parameter.shape[axis] != axes[axis] for axis in range(first, last + 1)):
        wanted = [axes[axis] if first <= axis <= last else 1 for axis in range(parameter.ndim)]
        parameter = parameter.expand(wanted)
    inner = 1
    for size in axes[last + 1 :]:
        inner = inner * size
    return parameter, inner
