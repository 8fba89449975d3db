"""Convolutions of images that are mostly zero, as an operator of torch: only what an active entry touches is read.

``torchdyn_neuro::event_conv2d`` is ``conv2d`` with the weights copied as [height, width, channels, outputs]: what one
entry sends to one output position is contiguous. Its results lie channels last. Sums run in an order that
depends on the input alone, so results are the same for any number of threads. Where the input is too active to gain,
and without a compiler, the dense convolution is taken.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..core.transforms import batched
from .event_product import run_kernel

_library = torch.library.Library("torchdyn_neuro", "FRAGMENT")
_library.define(
    "event_conv2d(Tensor x, Tensor weight, Tensor? bias, int[2] stride, int[2] padding, int[2] dilation, "
    "float most_active) -> Tensor"
)
_library.define(
    "event_conv2d_weight(Tensor x, Tensor gradient, int[2] kernel, int[2] stride, int[2] padding, int[2] dilation, "
    "float most_active) -> Tensor"
)

Pair = tuple[int, int]


def event_conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair, most_active: float
) -> Tensor:
    """``conv2d(x, weight, bias, stride, padding, dilation)`` that reads the weights of active entries only.

    Args:
        x: images [N, channels, height, width], mostly zero, for which ``can_gather`` holds.
        weight: [outputs, channels, height, width].
        bias: [outputs], or ``None``.
        stride, padding, dilation: for height and width.
        most_active: share of active entries above which the dense convolution is taken.

    Returns:
        [N, outputs, height, width], channels last in memory.
    """
    return torch.ops.torchdyn_neuro.event_conv2d(x, weight, bias, stride, padding, dilation, most_active)


def out_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Number of positions of a window along one axis; below one where it does not fit."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _out_shape(x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> list[int]:
    axes = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    return [x.shape[0], weight.shape[0], *(out_size(*axis) for axis in axes)]


def _run(name: str, tensors: list[Tensor | None], sizes: list[int], most_active: float) -> bool:
    return run_kernel(name, "sparse/event_convolution.h", tensors, sizes, most_active)


def _images(x: Tensor) -> tuple[Tensor, bool]:
    """``x`` in a layout that the kernels read, and whether that is channels last."""
    last = x.is_contiguous(memory_format=torch.channels_last)
    return (x if last else x.contiguous()), last


def _sizes(x: Tensor, outputs: Tensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, last: bool) -> list:
    """What the kernels take: the fields of a ``Convolution``."""
    axes = zip(x.shape[2:], outputs.shape[2:], kernel, stride, padding, dilation, strict=True)
    return [x.shape[0], x.shape[1], outputs.shape[1], *(size for axis in axes for size in axis), int(last)]


def _conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair, most_active: float
) -> Tensor:
    images, last = _images(x)
    rows, start = weight.permute(2, 3, 1, 0).contiguous(), None if bias is None else bias.contiguous()
    y = _empty(x, _out_shape(x, weight, stride, padding, dilation))
    sizes = _sizes(x, y, weight.shape[2:], stride, padding, dilation, last)
    if _run("convolution", [images, rows, start, y], sizes, most_active):
        return y
    weight = weight.contiguous(memory_format=torch.channels_last)
    return y.copy_(functional.conv2d(x, weight, bias, stride, padding, dilation))


def _conv2d_weight(
    x: Tensor, gradient: Tensor, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, most_active: float
) -> Tensor:
    images, last = _images(x)
    arriving = gradient.contiguous(memory_format=torch.channels_last)
    rows = x.new_empty((*kernel, x.shape[1], gradient.shape[1]))
    weight = rows.permute(3, 2, 0, 1)
    sizes = _sizes(x, gradient, kernel, stride, padding, dilation, last)
    if not _run("convolution_weights", [images, arriving, rows], sizes, most_active):
        weight.copy_(_dense_backward(gradient, x, weight, stride, padding, dilation, [False, True])[1])
    return weight.contiguous()


def _empty(x: Tensor, shape: list[int]) -> Tensor:
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)


def _dense_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair, wanted: list[bool]
) -> tuple[Tensor, ...]:
    """Gradients of the dense convolution: of its input and of its weights, as wanted; they can be differentiated."""
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, dilation, False, [0, 0], 1, [*wanted, False]
    )


def _setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, bias, *ctx.geometry, ctx.most_active = inputs
    ctx.has_bias = bias is not None
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, gradient: Tensor) -> tuple:
    x, weight = ctx.saved_tensors
    wants_x, wants_weight, wants_bias = ctx.needs_input_grad[:3]
    by_events = wants_weight and not torch.is_grad_enabled() and not batched([gradient])
    grad_x = grad_weight = None
    if wants_x or (wants_weight and not by_events):
        wanted = [wants_x, wants_weight and not by_events]
        grad_x, grad_weight = _dense_backward(gradient, x, weight, *ctx.geometry, wanted)[:2]
    if by_events:
        grad_weight = torch.ops.torchdyn_neuro.event_conv2d_weight(
            x, gradient, weight.shape[2:], *ctx.geometry, ctx.most_active
        )
    grad_bias = gradient.sum((0, 2, 3)) if ctx.has_bias and wants_bias else None
    return grad_x, grad_weight, grad_bias, None, None, None, None


_library.impl("event_conv2d", _conv2d, "CPU")
_library.impl("event_conv2d_weight", _conv2d_weight, "CPU")
torch.library.register_fake(
    "torchdyn_neuro::event_conv2d",
    lambda x, weight, bias, stride, padding, dilation, most_active: _empty(
        x, _out_shape(x, weight, stride, padding, dilation)
    ),
    lib=_library,
)
torch.library.register_fake(
    "torchdyn_neuro::event_conv2d_weight",
    lambda x, gradient, kernel, stride, padding, dilation, most_active: x.new_empty(
        (gradient.shape[1], x.shape[1], *kernel)
    ),
    lib=_library,
)
torch.library.register_autograd("torchdyn_neuro::event_conv2d", _backward, setup_context=_setup_context, lib=_library)
