"""From the source of a Triton kernel to a call of it."""

import hashlib
import importlib.util
import linecache
from collections.abc import Callable, Sequence
from math import prod
from typing import Self

import torch
from torch import Tensor

from ...native.compiler import CompilerUnavailableError
from ..operators.loops import Kernels
from ..plan.loops import BackwardPlan, ForwardPlan
from .source import backward_is_written_out, emit_backward, emit_forward

_FEW_ELEMENTS = 1 << 16
"""Below it a card has threads to spare: a block of one warp spreads them over more of it."""
_FEW, _MANY = (32, 1), (128, 4)
"""Elements of a block and its warps, for few elements and for many."""
_SEGMENT = 8
_MOST_KNOWN = 256
_LARGEST_INT32 = 2**31 - 1
_NOTHING = "import triton\n\n\ndef run():\n    pass\n"


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

    def __init__(self, forward: ForwardPlan, backward: BackwardPlan):
        super().__init__(forward, backward)
        self._loaded: dict[tuple[str, int], Callable] = {}
        self._known: dict[tuple, Callable] = {}

    @classmethod
    def unavailable(cls) -> str | None:
        return None if importlib.util.find_spec("triton") else "Triton is not installed"

    @classmethod
    def compile(cls, kernels: Sequence[Self], *, training: bool) -> None:
        """Find out whether there is Triton, which compiles for the card and the types of the first call."""
        load_kernel(_NOTHING)

    def _kernel(self, emit: Callable, plan: ForwardPlan | BackwardPlan, every: int) -> Callable:
        known = self._loaded.get((emit.__name__, every))
        if known is None:
            known = self._loaded[emit.__name__, every] = load_kernel(emit(plan, every))
        return known

    def forward(self, inputs, states, parameters, inners, outputs, last, checkpoints, every) -> None:
        read = self.forward_plan.parameters
        tensors = [*inputs, *states, *(parameters[k] for k in read), *outputs, *last, *checkpoints]
        flags = {f"HAS_saved{k}": checkpoint is not None for k, checkpoint in enumerate(checkpoints)}
        flags |= _single(parameters, read)
        kernel = self._kernel(emit_forward, self.forward_plan, every)
        strides = [x.stride(0) for x in inputs]
        _launch(self._known, kernel, inputs[0].shape, tensors, [*strides, *_layout(parameters, inners, read)], flags)

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
        if not plan.states:
            # Without a replay a segment is only what is loaded at a time.
            every = _SEGMENT
        written_out = backward_is_written_out(plan, every)
        room = [] if written_out else [state.new_empty((min(every, shape[0]), *state.shape)) for state in states]
        read = [parameters[k] for k in plan.parameters]
        results = [*first_gradients, *input_gradients, *parameter_gradients]
        tensors = [*inputs, *states, *checkpoints, *read, *output_gradients, *last_gradients, *results, *room]
        carried = zip(plan.carried, last_gradients, strict=True)
        flags = {f"HAS_dlast{k}": gradient is not None for k, gradient in carried}
        numbered = zip(plan.output_gradients, output_gradients, strict=True)
        flags |= {f"HAS_dy{k}": gradient is not None for k, gradient in numbered}
        learned = [k for k, node in enumerate(graph.grad_parameters) if node is not None]
        laid_out = sorted({*plan.parameters, *learned})
        flags |= _single(parameters, laid_out)
        kernel = self._kernel(emit_backward, plan, every)
        strides = [0 if x is None else x.stride(0) for x in (*inputs, *output_gradients)]
        _launch(self._known, kernel, shape, tensors, [*strides, *_layout(parameters, inners, laid_out)], flags)

    def partial_sums(self, elements: int) -> int:
        return elements


def _single(parameters: Sequence[Tensor], numbers: Sequence[int]) -> dict[str, bool]:
    """Flags of the parameters that all elements share."""
    return {f"ONE_p{k}": parameters[k].numel() == 1 for k in numbers}


def _layout(parameters: Sequence[Tensor], inners: Sequence[int], numbers: Sequence[int]) -> list[int]:
    """How parameters lie in the frame."""
    return [size for k in numbers for size in (inners[k], parameters[k].numel())]


def _block(elements: int, *, on_card: bool) -> tuple[int, dict[str, int | bool]]:
    """The size of a block, and the options with which Triton compiles for it."""
    if not on_card:
        # The interpreter takes a block at a time, whatever its size.
        return 1 << (elements - 1).bit_length(), {}
    block, warps = _FEW if elements < _FEW_ELEMENTS else _MANY
    # A product and a sum rounded apart, as in the eager loop.
    return block, {"num_warps": warps, "enable_fp_fusion": False}


def _launch(
    known: dict[tuple, Callable],
    kernel: Callable,
    shape: Sequence[int],
    tensors: Sequence[Tensor | None],
    layout: Sequence[int],
    flags: dict[str, bool],
) -> None:
    """Run on the stream in force; ``None`` stands for a tensor that is absent.

    Args:
        known: what Triton has compiled for calls of this kernel, by types and flags. To find it, Triton looks at
            each argument again, which takes as long as all else on the way to a kernel.
    """
    steps, elements = shape[0], prod(shape[1:])
    present = next(tensor for tensor in tensors if tensor is not None)
    on_card = present.is_cuda
    block, options = _block(elements, on_card=on_card)
    numbers = (steps, elements, *layout)
    constants = (*flags.values(), block)
    grid = (-(-elements // block), 1, 1)
    # An absent tensor is a pointer that its flag keeps from being followed.
    pointers = [present if tensor is None else tensor for tensor in tensors]
    kind = kernel, present.device, constants, *(p.dtype for p in pointers), *(n > _LARGEST_INT32 for n in numbers)
    compiled = known.get(kind)
    with torch.cuda.device_of(present):
        try:
            if compiled is not None:
                # As numbers, for of tensors the launcher asks the driver where each of them is.
                compiled[grid](*(p.data_ptr() for p in pointers), *numbers, *constants)
                return
            compiled = kernel[grid](*pointers, *numbers, **flags, BLOCK=block, **options)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            # Whatever Triton or the driver refuses: the eager loop can still run it.
            raise CompilerUnavailableError(f"Triton cannot run the loop on this device ({error})") from error
    if on_card:
        if len(known) >= _MOST_KNOWN:
            known.clear()
        known[kind] = compiled
