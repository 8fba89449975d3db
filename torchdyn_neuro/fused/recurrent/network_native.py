"""The loops of a program in one C++ call each way: a thread carries some rows of the batch through all steps.

The matrices have to stay in the caches for that; where one is too large, :mod:`~.network_steps` leaves each product to
all threads together.
"""

import ctypes
import functools
from collections.abc import Sequence

import torch
from torch import Tensor

from ...native.compiler import arrays, header_library
from ...sparse.event_product import gather_headers
from ..cpp.kernels import parameter_layout
from ..operators.registry import get_loop
from ..record.graph import StepGraph, pattern_of
from .operands import MOST_ACTIVE, Backward, Forward
from .steps import Dot, Meeting, Product, Program, Segment

_HEADERS = gather_headers("sparse/dense.h", "fused/recurrent/synapses.h", "fused/recurrent/network.h")
_SEGMENT, _PRODUCT, _SUM, _REPEAT, _DOT = range(5)
_LARGEST_MATRIX = 2 * 2**20
"""Bytes of a matrix that the caches of one core keep close."""


def library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The compiled driver of programs for one type of number; ``None`` if there is none."""
    return header_library(_HEADERS, dtype)


class Encoded:
    """Programs as whole numbers, with the functions and matrices that they name.

    Args:
        language: of their segments.
        graph: for the numbers of its widths.
        programs: in the order in which they are encoded.
    """

    def __init__(self, language: str, graph: StepGraph, *programs: Program):
        self.pairs, self.row = {number: pair for number, *pair in graph.pairs}, graph.row
        self.shared = graph.shared
        self.language, self.programs = language, programs
        self.keys: list[str] = []
        self.matrices: list[tuple[int, bool]] = []
        self.words = [[word for step in program.steps for word in self._words(program, step)] for program in programs]

    def _words(self, program: Program, step: Segment | Product | Meeting | Dot) -> list[int]:
        if isinstance(step, Product):
            ends = step.source, step.target
            if step.matrix < 0:
                axis, *axes = self.along(step.matrix)
                return [_REPEAT if step.transposed else _SUM, axis, *ends, *axes]
            place = _place(self.matrices, (step.matrix, step.transposed))
            return [_PRODUCT, place, *ends, *(program.widths[k] for k in ends)]
        if isinstance(step, Meeting):
            return []
        if isinstance(step, Dot):
            axis, *axes = self.along(step.matrix)
            return [_DOT, axis, step.source, step.other, step.target, *axes]
        words = [_SEGMENT, _place(self.keys, step.key), step.width]
        for group in (step.reads, step.parameters):
            words += [len(group), *group]
        words.append(len(step.spread))
        for frame, matrix in step.spread:
            axis, *axes = self.along(matrix)
            words += [frame, axis, *axes]
        return [*words, len(step.writes), *step.writes]

    def along(self, matrix: int) -> tuple[int, int, int]:
        """The axis of a pattern, and the numbers of the widths of the two axes that it is one of."""
        number, axis = pattern_of(matrix)
        return (-1, self.row, number) if axis == -3 else (axis, *self.pairs[number])

    @functools.cached_property
    def functions(self) -> ctypes.Array:
        """The addresses of the segments' loops."""
        addresses = [ctypes.cast(get_loop(key).kernels.forward_function, ctypes.c_void_p) for key in self.keys]
        return (ctypes.c_void_p * len(addresses))(*addresses)

    def values(self, matrices: Sequence[Tensor]) -> list[Tensor]:
        """Each matrix as its product reads it, [inputs, outputs]."""
        return [(matrices[k] if transposed else matrices[k].t()).contiguous() for k, transposed in self.matrices]

    def described(self, number: int, call: Forward | Backward, pairs: Sequence[tuple[int, Tensor]], given: int) -> list:
        """A program as the driver takes it.

        Args:
            number: which one.
            call: for the widths.
            pairs: the frames that are rows of sequences, with these.
            given: how many of them are read.
        """
        program, words = self.programs[number], self.words[number]
        places = {frame: k for k, (frame, _) in enumerate(pairs)}
        rows = [
            node.dtype.itemsize * call.widths[width] for node, width in zip(program.frames, program.widths, strict=True)
        ]
        found = [len(program.frames), len(pairs), given, len(words), *rows]
        found += [places.get(k, -1) for k in range(len(program.frames))]
        found += [tensor.stride(0) * tensor.element_size() for _, tensor in pairs]
        return [*found, *words]


def _place(known: list, entry: object) -> int:
    if entry not in known:
        known.append(entry)
    return known.index(entry)


def takes(encoded: Encoded, matrices: Sequence[Tensor]) -> bool:
    """Whether these loops run programs: whether their segments are in C++ and the matrices are small."""
    return (
        encoded.language == "cpp"
        and not encoded.shared
        and all(matrix.numel() * matrix.element_size() <= _LARGEST_MATRIX for matrix in matrices)
    )


def _described(call: Forward | Backward) -> list[int]:
    """What both directions are given."""
    sizes = [*call.shape, call.every, torch.get_num_threads(), len(call.widths), len(call.first), len(call.parameters)]
    return [*sizes, *call.widths, *parameter_layout(call.parameters, call.inners, range(len(call.parameters)))]


def run_forward(encoded: Encoded, call: Forward) -> None:
    """Fill the sequences of the outputs, the last states and the checkpoints."""
    read = encoded.values(call.matrices)
    pairs = [*call.given, *call.made]
    tensors = [*(tensor for _, tensor in pairs), *call.first, *call.last, *call.checkpoints, *call.parameters, *read]
    sizes = [*_described(call), *call.before, *call.after, *encoded.described(0, call, pairs, len(call.given))]
    run = library(call.dtype).network_forward
    run(encoded.functions, *arrays(tensors, sizes), ctypes.c_double(MOST_ACTIVE))


def run_backward(encoded: Encoded, call: Backward) -> None:
    """Fill the sequences of the gradients and the totals, and turn ``carry`` into the gradients of the first states."""
    read = encoded.values(call.matrices)
    pairs = [*call.given, *call.made]
    tensors = [tensor for _, tensor in (*call.replayed, *pairs)]
    tensors += [*call.first, *call.checkpoints, *call.carry, *call.totals, *call.parameters, *read]
    sizes = [*_described(call), len(call.products[0]), len(call.carry), len(call.totals)]
    sizes += [*call.states[0], *call.states[1], *call.after, *call.products[0], *call.products[1]]
    sizes += [*call.arriving, *call.leaving, *call.summed, *(total.element_size() for total in call.totals)]
    sizes += encoded.described(0, call, call.replayed, len(call.replayed))
    sizes += encoded.described(1, call, pairs, len(call.given))
    run = library(call.dtype).network_backward
    run(encoded.functions, *arrays(tensors, sizes), ctypes.c_double(MOST_ACTIVE))
