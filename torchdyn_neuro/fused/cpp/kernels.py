"""The compiled C++ loops: pointers and sizes in, nothing out."""

import functools
from collections.abc import Callable, Iterable, Sequence
from math import prod
from pathlib import Path
from typing import Self

from torch import Tensor

from ...native.compiler import NO_COMPILER, arrays, find_compiler
from ...native.functions import load_functions
from ...native.threads import threads_for
from ..operators.loops import Kernels
from .source import emit_backward, emit_forward
from .text import BLOCK, operations


class CppKernels(Kernels):
    """Loops for the CPU, on as many threads as torch uses."""

    replayed_rows = 16  # in the first-level cache
    repeats = True

    @functools.cached_property
    def forward_function(self) -> Callable:
        """The compiled function of the forward loop."""
        return load_functions([emit_forward(self.forward_plan)])[0]

    @functools.cached_property
    def backward_function(self) -> Callable:
        """The compiled function of the backward loop."""
        return load_functions([emit_backward(self.backward_plan)])[0]

    @functools.cached_property
    def forward_work(self) -> int:
        """Operations on an element in a forward step."""
        return operations(self.forward_plan.body)

    @functools.cached_property
    def backward_work(self) -> int:
        """Operations on an element in a backward step."""
        return operations((*self.backward_plan.replay_body, *self.backward_plan.body))

    @classmethod
    def unavailable(cls) -> str | None:
        return None if find_compiler() else NO_COMPILER

    @classmethod
    def compile(cls, kernels: Sequence[Self], *, training: bool) -> None:
        """In one go, each of the two loops under the name of its property."""
        missing = [(each, "forward_function") for each in kernels]
        missing += [(each, "backward_function") for each in kernels if training]
        missing = [(each, name) for each, name in missing if name not in vars(each)]
        texts = [
            emit_forward(each.forward_plan) if name == "forward_function" else emit_backward(each.backward_plan)
            for each, name in missing
        ]
        for (each, name), function in zip(missing, load_functions(texts), strict=True):
            setattr(each, name, function)

    def partial_sums(self, elements: int) -> int:
        return (elements + BLOCK - 1) // BLOCK

    def forward(
        self,
        inputs: Sequence[Tensor],
        states: Sequence[Tensor],
        parameters: Sequence[Tensor],
        inners: Sequence[int],
        outputs: Sequence[Tensor],
        last: Sequence[Tensor],
        checkpoints: Sequence[Tensor | None],
        every: int,
    ) -> None:
        used = self.forward_plan.parameters
        tensors = [*inputs, *states, *(parameters[k] for k in used), *outputs, *last, *checkpoints]
        streams, work = _streams(inputs, outputs), inputs[0].numel() * self.forward_work
        sizes = _sizes(inputs[0].shape, every, streams, work, inputs, parameters, inners, used)
        self.forward_function(*arrays(tensors, sizes))

    def backward(
        self,
        inputs: Sequence[Tensor],
        states: Sequence[Tensor],
        checkpoints: Sequence[Tensor],
        parameters: Sequence[Tensor],
        inners: Sequence[int],
        output_gradients: Sequence[Tensor | None],
        last_gradients: Sequence[Tensor | None],
        first_gradients: Sequence[Tensor],
        input_gradients: Sequence[Tensor],
        parameter_gradients: Sequence[Tensor],
        every: int,
        shape: Sequence[int],
    ) -> None:
        plan = self.backward_plan
        tensors = [
            *inputs,
            *states,
            *checkpoints,
            *(parameters[k] for k in plan.parameters),
            *output_gradients,
            *last_gradients,
            *first_gradients,
            *input_gradients,
            *parameter_gradients,
        ]
        wanted = {k for k, node in enumerate(plan.graph.grad_parameters) if node is not None}
        sized = sorted(wanted.union(plan.parameters))
        sequences = (*inputs, *output_gradients)
        streams = _streams(sequences, input_gradients)
        work = prod(shape) * self.backward_work
        sizes = _sizes(shape, every, streams, work, sequences, parameters, inners, sized)
        self.backward_function(*arrays(tensors, sizes))


def _sizes(
    shape: Sequence[int],
    every: int,
    streams: bool,
    work: int,
    sequences: Iterable[Tensor | None],
    parameters: Sequence[Tensor],
    inners: Sequence[int],
    used: Iterable[int],
) -> list[int]:
    layout = parameter_layout(parameters, inners, used)
    strides = [0 if x is None else x.stride(0) for x in sequences]
    return [shape[0], prod(shape[1:]), every, threads_for(work), streams, 0, *strides, *layout]


def parameter_layout(parameters: Sequence[Tensor], inners: Sequence[int], used: Iterable[int]) -> list[int]:
    """What a loop takes to find the entries of parameters: (inner, size) of each."""
    return [size for k in used for size in (inners[k], parameters[k].numel())]


def _streams(read: Iterable[Tensor | None], written: Iterable[Tensor]) -> bool:
    """Whether results go past the caches: where they do not fit there, they would only push out what is read."""
    return sum(x.numel() * x.element_size() for x in (*read, *written) if x is not None) > _last_level_cache()


@functools.cache
def _last_level_cache() -> int:
    """Bytes of the last-level cache; 32 MB where the system does not tell."""
    sizes = [32 * 2**20]
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index3/size"):
        text = path.read_text().strip()
        sizes = [int(text.removesuffix("K")) * 2**10] if text.endswith("K") else sizes
    return sizes[0]
