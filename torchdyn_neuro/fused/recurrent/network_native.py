"""The loops of a program in one C++ call each way: a thread carries some rows of the batch through all steps."""

import ctypes
import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from ...native.compiler import arrays, header_library
from ...sparse.event_product import gather_headers
from ..cpp.kernels import CppKernels, parameter_layout
from ..operators.registry import get_loop
from .program import Product, Program, Segment

_HEADERS = gather_headers("sparse/dense.h", "fused/recurrent/network.h")
_SEGMENT, _PRODUCT = 0, 1
_MOST_ACTIVE = 0.3
"""Share of active inputs above which a product reads all of them."""


def library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The compiled driver of programs for one type of number; ``None`` if there is none."""
    return header_library(_HEADERS, dtype)


class Encoded:
    """Programs as whole numbers, with the functions and matrices that they name.

    Args:
        programs: in the order in which they are encoded.
    """

    def __init__(self, *programs: Program):
        self.programs = programs
        self.keys: list[str] = []
        self.matrices: list[tuple[int, bool]] = []
        self.words = [[word for step in program.steps for word in self._words(step)] for program in programs]

    def _words(self, step: Segment | Product) -> list[int]:
        if isinstance(step, Product):
            return [_PRODUCT, _place(self.matrices, (step.matrix, step.transposed)), step.source, step.target]
        words = [_SEGMENT, _place(self.keys, step.key)]
        for group in (step.reads, step.parameters, step.writes):
            words += [len(group), *group]
        return words

    @functools.cached_property
    def functions(self) -> ctypes.Array:
        """The addresses of the segments' loops."""
        addresses = [ctypes.cast(get_loop(key).kernels.forward_function, ctypes.c_void_p) for key in self.keys]
        return (ctypes.c_void_p * len(addresses))(*addresses)

    def values(self, matrices: Sequence[Tensor]) -> list[Tensor]:
        """Each matrix as its product reads it, [inputs, outputs]."""
        return [(matrices[k] if transposed else matrices[k].t()).contiguous() for k, transposed in self.matrices]


def _place(known: list, entry: object) -> int:
    if entry not in known:
        known.append(entry)
    return known.index(entry)


def takes(encoded: Encoded) -> bool:
    """Whether these loops run programs: whether their segments are in C++."""
    return isinstance(get_loop(encoded.keys[0]).kernels, CppKernels)


class Sequences:
    """Which frames are rows of sequences [T, B, \\*], and where these are.

    Args:
        program: whose frames they are.
        pairs: frames and their sequences.
    """

    def __init__(self, program: Program, pairs: Sequence[tuple[int, Tensor]]):
        numbers = {frame: k for k, (frame, _) in enumerate(pairs)}
        self.tensors = [tensor for _, tensor in pairs]
        self.frames = [node.dtype.itemsize for node in program.frames]
        self.frames += [numbers.get(k, -1) for k in range(len(program.frames))]
        self.strides = [tensor.stride(0) * tensor.element_size() for tensor in self.tensors]
        self.counts = len(program.frames), len(pairs)


def run_forward(
    encoded: Encoded,
    pairs: Sequence[tuple[int, Tensor]],
    before: Sequence[int],
    after: Sequence[int],
    first: Sequence[Tensor],
    last: Sequence[Tensor],
    checkpoints: Sequence[Tensor | None],
    parameters: Sequence[Tensor],
    inners: Sequence[int],
    matrices: Sequence[Tensor],
    shape: tuple[int, int, int],
    every: int,
) -> None:
    """Fill the sequences of the outputs, the last states and the checkpoints.

    Args:
        encoded: the program.
        pairs: frames that are rows of sequences, with these.
        before, after: the frames of the states before and after a step.
        shape: steps, rows and width.
    """
    words, sequences = encoded.words[0], Sequences(encoded.programs[0], pairs)
    read = encoded.values(matrices)
    tensors = [*sequences.tensors, *first, *last, *checkpoints, *parameters, *read]
    sizes = [*shape, every, torch.get_num_threads(), *sequences.counts, len(first), len(parameters), len(words)]
    sizes += [*sequences.frames, *sequences.strides, *before, *after]
    sizes += [*parameter_layout(parameters, inners, range(len(parameters))), *words]
    run = library(read[0].dtype).network_forward
    run(encoded.functions, *arrays(tensors, sizes), ctypes.c_double(_MOST_ACTIVE))


def run_backward(
    encoded: Encoded,
    pairs: tuple[Sequence[tuple[int, Tensor]], Sequence[tuple[int, Tensor]]],
    states: tuple[Sequence[int], Sequence[int]],
    products: tuple[Sequence[int], Sequence[int]],
    after: Sequence[int],
    arriving: Sequence[int],
    leaving: Sequence[int],
    summed: Sequence[int],
    first: Sequence[Tensor],
    checkpoints: Sequence[Tensor],
    carry: Sequence[Tensor],
    totals: Sequence[Tensor],
    parameters: Sequence[Tensor],
    inners: Sequence[int],
    matrices: Sequence[Tensor],
    shape: tuple[int, int, int],
    every: int,
) -> None:
    """Fill the sequences of the gradients, the totals of those of parameters, and turn ``carry`` into the first ones.

    Args:
        encoded: the forward program and the backward one, in whose order all pairs are.
        pairs: their frames that are rows of sequences, with these.
        states, products: their frames.
        after: the frames of the states after a step of the forward program.
        arriving, leaving: the frames of the carried gradients before and after a step; -1 where zero leaves.
        summed: the frames of the totals.
    """
    sequences = [Sequences(*part) for part in zip(encoded.programs, pairs, strict=True)]
    read = encoded.values(matrices)
    tensors = [*sequences[0].tensors, *sequences[1].tensors, *first, *checkpoints, *carry, *totals, *parameters, *read]
    sizes = [*shape, every, torch.get_num_threads(), len(first), len(products[0]), len(carry), len(totals)]
    sizes.append(len(parameters))
    for part in range(2):
        sizes += [*sequences[part].counts, len(encoded.words[part])]
    for part in range(2):
        sizes += [*sequences[part].frames, *sequences[part].strides, *states[part], *products[part]]
        sizes += encoded.words[part]
    sizes += [*after, *arriving, *leaving, *summed]
    sizes += parameter_layout(parameters, inners, range(len(parameters)))
    library(read[0].dtype).network_backward(encoded.functions, *arrays(tensors, sizes))
