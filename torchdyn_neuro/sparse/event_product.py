"""Products with inputs that are mostly zero, as an operator of torch: only what an active entry touches is read.

``torchdyn_neuro::event_linear`` is ``linear`` with the weight copied column by column: what one presynaptic neuron
sends out is contiguous. A spike adds one column to the output and, in the gradient of the weights, one row of
the arriving gradient to a column. Sums run in an order that depends on the input alone, so results are the same for
any number of threads. Where the input is too active to gain, where zero times a number is NaN because that is not
finite, and without a compiler, the dense product is taken.
"""

import ctypes
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..core.transforms import active_transform, batched
from ..native.compiler import NUMBERS, arrays, header_library

_library = torch.library.Library("torchdyn_neuro", "FRAGMENT")
_library.define("event_linear(Tensor x, Tensor weight, Tensor? bias, float most_active) -> Tensor")
_library.define("event_outer_product(Tensor x, Tensor gradient, float most_active) -> Tensor")


def event_linear(x: Tensor, weight: Tensor, bias: Tensor | None, most_active: float) -> Tensor:
    """``linear(x, weight, bias)`` that reads the columns of active inputs, where that is faster.

    Args:
        x: inputs [\\*, inputs], mostly zero.
        weight: [outputs, inputs].
        bias: [outputs], or ``None``.
        most_active: share of active inputs above which the dense product is taken.
    """
    return torch.ops.torchdyn_neuro.event_linear(x, weight, bias, most_active)


def can_gather(x: Tensor, weight: Tensor) -> bool:
    """Whether :func:`event_linear` has a kernel for these tensors."""
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype
        and x.dtype in NUMBERS
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and (torch.compiler.is_compiling() or active_transform() is None)
    )


def gather_headers(*names: str) -> tuple[str, ...]:
    """The headers of a library that is built on ``gather.h``."""
    return "native/memory.h", "sparse/gather.h", *names


def all_finite(x: Tensor) -> bool:
    """Whether all numbers are finite.

    Example:
        >>> all_finite(torch.tensor([1.0, -3e38])), all_finite(torch.tensor([1.0, torch.nan]))
        (True, False)
    """
    low, high = x.aminmax()
    return math.isfinite(low) and math.isfinite(high)


def run_kernel(
    name: str, source: str, tensors: list[Tensor | None], sizes: list[int], most_active: float, known: bool = False
) -> bool:
    """Call a kernel of the header ``source`` for the type of the first tensor; whether it has filled the last one.

    Args:
        name: of the kernel.
        source: the header, which is built on ``gather.h``.
        tensors: what it reads and, last, what it fills.
        sizes: what it takes before the number of threads.
        most_active: highest share of active inputs.
        known: whether the second tensor, of which inputs of zero read nothing, is known to be finite.
    """
    if not (known or all_finite(tensors[1])):
        return False
    library = header_library(gather_headers(source), tensors[0].dtype)
    if library is None:
        return False
    return bool(
        getattr(library, name)(*arrays(tensors, [*sizes, torch.get_num_threads()]), ctypes.c_double(most_active))
    )


def gather_product(
    x: Tensor, columns: Tensor, start: Tensor | None, y: Tensor, most_active: float, known: bool = False
) -> bool:
    """Fill ``y`` with ``start + x @ columns``, unless there is no kernel or ``x`` is too active to gain.

    Nor where a column is not finite: zero times that is not zero.

    Args:
        x: [rows, inputs], contiguous like all of them.
        columns: [inputs, outputs], what each input sends out.
        start: [outputs] or [rows, outputs], zeros if ``None``.
        y: [rows, outputs].
        most_active: highest share of active inputs.
        known: whether the columns are known to be finite.

    Returns:
        Whether ``y`` is filled.
    """
    stride = columns.shape[1] if start is not None and start.ndim > 1 else 0
    return _run("product", [x, columns, start, y], [*x.shape, columns.shape[1], stride], most_active, known)


def gather_outer_product(x: Tensor, gradient: Tensor, columns: Tensor, most_active: float) -> bool:
    """Fill ``columns`` [inputs, outputs] with ``x.t() @ gradient``, with the terms of :func:`gather_product`."""
    return _run("outer_product", [x, gradient, columns], [*x.shape, columns.shape[1], 0], most_active)


def event_library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The compiled kernels of :func:`gather_product` and :func:`gather_outer_product`; ``None`` without a compiler."""
    return header_library(gather_headers("sparse/event_product.h"), dtype)


def _run(name: str, tensors: list[Tensor | None], sizes: list[int], most_active: float, known: bool = False) -> bool:
    return run_kernel(name, "sparse/event_product.h", tensors, sizes, most_active, known)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, most_active: float) -> Tensor:
    rows, columns = matrix(x).contiguous(), weight.t().contiguous()
    y = x.new_empty((*x.shape[:-1], weight.shape[0]))
    if gather_product(rows, columns, None if bias is None else bias.contiguous(), y, most_active):
        return y
    return functional.linear(x, weight, bias)


def _outer_product(x: Tensor, gradient: Tensor, most_active: float) -> Tensor:
    rows, arriving = matrix(x).contiguous(), matrix(gradient).contiguous()
    columns = x.new_empty((rows.shape[1], arriving.shape[1]))
    if not gather_outer_product(rows, arriving, columns, most_active):
        torch.mm(rows.t(), arriving, out=columns)
    return columns.t().contiguous()


def matrix(x: Tensor) -> Tensor:
    """All but the last axis as one; a view where that can be."""
    return x.reshape(-1, x.shape[-1])


def _setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, weight, bias, ctx.most_active = inputs
    ctx.has_bias = bias is not None
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, gradient: Tensor) -> tuple:
    x, weight = ctx.saved_tensors
    wants_x, wants_weight, wants_bias, _ = ctx.needs_input_grad
    grad_x = gradient @ weight if wants_x else None
    grad_weight = None
    if wants_weight and (torch.is_grad_enabled() or batched([gradient])):
        grad_weight = matrix(gradient).t() @ matrix(x)
    elif wants_weight:
        grad_weight = torch.ops.torchdyn_neuro.event_outer_product(x, gradient, ctx.most_active)
    grad_bias = matrix(gradient).sum(0) if ctx.has_bias and wants_bias else None
    return grad_x, grad_weight, grad_bias, None


_library.impl("event_linear", _linear, "CPU")
_library.impl("event_outer_product", _outer_product, "CPU")
torch.library.register_fake(
    "torchdyn_neuro::event_linear",
    lambda x, weight, bias, most_active: x.new_empty((*x.shape[:-1], weight.shape[0])),
    lib=_library,
)
torch.library.register_fake(
    "torchdyn_neuro::event_outer_product",
    lambda x, gradient, most_active: x.new_empty((gradient.shape[-1], x.shape[-1])),
    lib=_library,
)
torch.library.register_autograd("torchdyn_neuro::event_linear", _backward, setup_context=_setup_context, lib=_library)
