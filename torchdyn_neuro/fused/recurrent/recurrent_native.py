"""The loop of a recurrent layer in one C++ call each way: a thread carries some rows of the batch through all steps.

The weights have to stay in the caches for that; where they are too large, :mod:`~.recurrent_runtime` leaves each step's
product to all threads together.
"""

import ctypes
import functools
import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from ...native.compiler import arrays, header_library
from ...sparse.event_product import gather_headers
from ..cpp.kernels import CppKernels, parameter_layout
from ..cpp.text import BLOCK
from ..operators.loops import Loop
from .recurrent_operands import BackwardOperands, ForwardOperands

_HEADERS = gather_headers("sparse/dense.h", "fused/recurrent/recurrent.h")
_LARGEST_WEIGHT = 2 * 2**20
"""Bytes of a weight that the caches of one core keep close."""


@functools.cache
def compile_ahead(dtype: torch.dtype) -> None:
    """Begin to compile what a recurrent layer needs beside its cell, so that it is there when the cell is."""
    for names in (_HEADERS, gather_headers("sparse/event_product.h")):
        threading.Thread(target=header_library, args=(names, dtype), daemon=True).start()


def _library(dtype: torch.dtype) -> ctypes.CDLL | None:
    return header_library(_HEADERS, dtype)


def takes(loop: Loop, weight: Tensor, tensors: Sequence[Tensor]) -> bool:
    """Whether these loops run a cell with this weight; ``tensors`` must be of its type."""
    return (
        isinstance(loop.kernels, CppKernels)
        and all(tensor.dtype == weight.dtype for tensor in tensors)
        and weight.numel() * weight.element_size() <= _LARGEST_WEIGHT
        and tensors[0].numel() > 0
        and _library(weight.dtype) is not None
    )


def run_forward(loop: Loop, operands: ForwardOperands, most_active: float) -> None:
    """What :func:`.recurrent_steps.run_forward` fills."""
    drive, states, checkpoints = operands.drive, operands.states, operands.checkpoints
    used = loop.kernels.forward_plan.parameters
    kept = loop.backward_plan.states if checkpoints else ()
    tensors = [drive, operands.weight.t().contiguous(), operands.before, operands.inputs, operands.y]
    tensors += [*states, *checkpoints, *(operands.parameters[k] for k in used)]
    sizes = [*_shape(drive), loop.every, torch.get_num_threads(), drive.stride(0)]
    sizes += [len(states), len(kept), len(used), *(state.element_size() for state in states), *kept]
    sizes += parameter_layout(operands.parameters, operands.inners, used)
    run = _library(drive.dtype).recurrent_forward
    run(loop.kernels.forward_function, *arrays(tensors, sizes), ctypes.c_double(most_active))


def run_backward(loop: Loop, operands: BackwardOperands) -> None:
    """What :func:`.recurrent_steps.run_backward` fills."""
    plan, forward = loop.backward_plan, loop.kernels.forward_plan.parameters
    x, y_gradient, parameters, inners = operands.inputs, operands.y_gradient, operands.parameters, operands.inners
    library, shape = _library(x.dtype), _shape(x)
    sized = sorted({*plan.parameters, *loop.grad_parameters})
    shared = [parameters[k].numel() == 1 for k in loop.grad_parameters]
    # A number for each block of neurons that a thread has carried, or one for each neuron.
    blocks = library.shared_sums(*shape[1:], BLOCK)
    totals = [total.new_zeros(blocks if one else total.shape) for total, one in zip(operands.sums, shared, strict=True)]
    tensors = [y_gradient, operands.weight.contiguous(), operands.drive_gradient, operands.before_gradient, x]
    tensors += [*operands.carried, *operands.states, *operands.checkpoints]
    tensors += [*(parameters[k] for k in forward), *(parameters[k] for k in plan.parameters), *totals]
    sizes = [*shape, loop.every, torch.get_num_threads()]
    sizes += [0 if y_gradient is None else y_gradient.stride(0), BLOCK, bool(plan.output_gradients)]
    numbered = loop.graph.states, plan.states, plan.carried, forward, plan.parameters, sized
    sizes += [bool(plan.inputs), *map(len, numbered), len(totals)]
    sizes += [*(leaf.dtype.itemsize for leaf in loop.graph.states), *plan.states, *plan.carried]
    sizes += [*parameter_layout(parameters, inners, forward), *parameter_layout(parameters, inners, sized)]
    sizes += [*shared, *(total.element_size() for total in totals)]
    library.recurrent_backward(loop.kernels.forward_function, loop.kernels.backward_function, *arrays(tensors, sizes))
    for result, total, one in zip(operands.sums, totals, shared, strict=True):
        if one:
            result.zero_()[0] = total.sum()
        else:
            result.copy_(total)


def _shape(x: Tensor) -> tuple[int, int, int]:
    return x.shape[0], x[0].numel() // x.shape[-1], x.shape[-1]
