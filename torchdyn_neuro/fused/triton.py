"""From the source of a Triton kernel to a call of it."""

import functools
import hashlib
import linecache
from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor

from .compiler import CompilerUnavailableError
from .loops import Kernels
from .triton_source import emit_backward, emit_forward

_FEW_ELEMENTS = 1 << 16
"""Below it a card has threads to spare: a block of one warp spreads them over more of it."""


def load_kernel(source: str) -> Callable:
    """The jitted function ``run`` of a module, which exists in memory only; Triton keeps what it compiles on disk.

    Raises:
        CompilerUnavailableError: if there is no Triton.
    """
    name = f"<torchdyn_neuro {hashlib.sha256(source.encode()).hexdigest()[:16]}>"
    # Triton reads the source of a function again by its file name.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    module: dict = {"__name__": name}
    try:
        exec(compile(source, name, "exec"), module)
    except ImportError as error:
        raise CompilerUnavailableError(f"Triton cannot be imported ({error})") from None
    return module["run"]


class TritonKernels(Kernels):
    """The two loops in Triton, for CUDA; on a CPU they run in Triton's interpreter, if that was chosen."""

    @functools.cached_property
    def _forward(self) -> Callable:
        return load_kernel(emit_forward(self.forward_plan))

    @functools.cached_property
    def _backward(self) -> Callable:
        return load_kernel(emit_backward(self.backward_plan))

    def compile(self, *, training: bool) -> None:
        """Make the kernels known to Triton, which compiles them for the card and the types of the first call."""
        _ = self._forward
        if training:
            _ = self._backward

    def forward(self, inputs, states, parameters, inners, outputs, last, checkpoints, every) -> None:
        read = self.forward_plan.parameters
        tensors = [*inputs, *states, *(parameters[k] for k in read), *outputs, *last, *checkpoints]
        flags = {f"HAS_saved{k}": checkpoint is not None for k, checkpoint in enumerate(checkpoints)}
        layout = [size for k in read for size in (inners[k], parameters[k].numel())]
        strides = [x.stride(0) for x in inputs]
        _launch(self._forward, inputs[0].shape, tensors, every, [*strides, *layout], flags)

    def backward(
        self,
        inputs,
        states,
        checkpoints,
        parameters,
        inners,
        output_gradients,
        last_gradients,
        first_gradients,
        input_gradients,
        parameter_gradients,
        every,
        shape,
    ) -> None:
        plan, graph = self.backward_plan, self.backward_plan.graph
        room = [state.new_empty((min(every, shape[0]), *state.shape)) for state in states]
        read = [parameters[k] for k in plan.parameters]
        results = [*first_gradients, *input_gradients, *parameter_gradients]
        tensors = [*inputs, *states, *checkpoints, *read, *output_gradients, *last_gradients, *results, *room]
        carried = zip(plan.carried, last_gradients, strict=True)
        flags = {f"HAS_dlast{k}": gradient is not None for k, gradient in carried}
        learned = [k for k, node in enumerate(graph.grad_parameters) if node is not None]
        laid_out = sorted({*plan.parameters, *learned})
        layout = [size for k in laid_out for size in (inners[k], parameters[k].numel())]
        strides = [x.stride(0) for x in (*inputs, *output_gradients)]
        _launch(self._backward, shape, tensors, every, [*strides, *layout], flags)

    def partial_sums(self, elements: int) -> int:
        return elements


def _launch(
    kernel: Callable,
    shape: Sequence[int],
    tensors: Sequence[Tensor | None],
    every: int,
    layout: Sequence[int],
    flags: dict[str, bool],
) -> None:
    """Run on the stream in force; ``None`` stands for a tensor that is absent."""
    steps, elements = shape[0], prod(shape[1:])
    present = next(tensor for tensor in tensors if tensor is not None)
    if present.is_cuda:
        block = 32 if elements < _FEW_ELEMENTS else 128
        options = {"num_warps": block // 32, "enable_fp_fusion": False}
    else:
        # The interpreter takes a block at a time, whatever its size.
        block, options = 1 << (elements - 1).bit_length(), {}
    # An absent tensor is a pointer that its flag keeps from being followed.
    pointers = [present if tensor is None else tensor for tensor in tensors]
    grid = (-(-elements // block),)
    with torch.cuda.device_of(present):
        try:
            kernel[grid](*pointers, steps, elements, every, *layout, **flags, BLOCK=block, **options)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            # Whatever Triton or the driver refuses: the eager loop can still run it.
            raise CompilerUnavailableError(f"Triton cannot run the loop on this device ({error})") from error
