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
from ...sparse.event_product import all_finite, gather_headers
from ..cpp.kernels import parameter_layout
from ..layout import laid_out
from ..operators.registry import compile_loops, get_loop
from ..record.graph import LineRead, StepGraph, pattern_of
from .lines import matrices_of
from .operands import MOST_ACTIVE, Backward, Forward
from .steps import Dot, Meeting, Product, Program, Segment

_HEADERS = gather_headers(
    "sparse/dense.h", *(f"fused/recurrent/{name}.h" for name in ("synapses", "lines", "call", "network"))
)
_SEGMENT, _PRODUCT, _SUM, _REPEAT, _TAPS, _WINDOW, _DOT = range(7)
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
        self.shared, self.parameter_widths = graph.shared, graph.widths[3]
        self.language, self.programs = language, programs
        self.keys: list[str] = []
        reads = [(program, s) for program in programs for s in program.products if isinstance(s.matrix, LineRead)]
        pairs = [(step.matrix.taps, program.widths[step.source]) for program, step in reads]
        self.taps = [*dict.fromkeys(pair for pair in pairs if pair[0] >= 0)]
        self.matrices: list[tuple[int, bool]] = []
        self.words = [[word for step in program.steps for word in self.words_of(program, step)] for program in programs]

    def words_of(self, program: Program, step: Segment | Product | Meeting | Dot) -> list[int]:
        """A step as whole numbers; of what goes through weights that the batch shares there are none here."""
        if isinstance(step, Product):
            ends = step.source, step.target
            if isinstance(step.matrix, LineRead):
                return self._line(program, step)
            if step.matrix < 0:
                axis, *axes = self.along(step.matrix)
                return [_REPEAT if step.transposed else _SUM, axis, *ends, *axes]
            # Behind lags and shares.
            place = 2 * len(self.taps) + _place(self.matrices, (step.matrix, step.transposed))
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

    def _line(self, program: Program, step: Product) -> list[int]:
        """How a line is read, or added to: the frames of now and of all that is read, and their widths."""
        ends = (step.target, step.source) if step.transposed else (step.source, step.target)
        taps, widths = step.matrix.taps, [program.widths[k] for k in ends]
        what = [_WINDOW, 0] if taps < 0 else [_TAPS, 2 * self.taps.index((taps, widths[0]))]
        return [*what, int(step.transposed), *ends, *widths]

    @functools.cached_property
    def functions(self) -> ctypes.Array:
        """The addresses of the segments' loops."""
        compile_loops(self.keys, training=False)
        addresses = [ctypes.cast(get_loop(key).kernels.forward_function, ctypes.c_void_p) for key in self.keys]
        return (ctypes.c_void_p * len(addresses))(*addresses)

    def taps_of(self, call: Forward | Backward) -> list[Tensor]:
        """Lags, behind how many, (inner, size) and how they lie in a frame, and shares likewise."""
        found = []
        for number, width in self.taps:
            lags, shares = call.matrices[number : number + 2]
            like, inner = laid_out(lags[0], (*call.given[0][1].shape[1:-1], call.widths[width]))
            shape = len(lags), *like.shape
            head = torch.tensor([len(lags), inner, like.numel()])
            found += [torch.cat([head, lags.expand(shape).flatten()]), shares.expand(shape).contiguous()]
        return found

    def values(self, matrices: Sequence[Tensor]) -> list[Tensor]:
        """Each matrix as its product reads it, [inputs, outputs]."""
        return [(matrices[k] if transposed else matrices[k].t()).contiguous() for k, transposed in self.matrices]

    def described(
        self,
        number: int,
        call: Forward | Backward,
        pairs: Sequence[tuple[int, Tensor]],
        given: int,
        words: Sequence[int] | None = None,
    ) -> list[int]:
        """A program as the driver takes it.

        Args:
            number: which one.
            call: for the widths.
            pairs: the frames that are rows of sequences, with these.
            given: how many of them are read.
            words: the program, if it is put in another way.
        """
        program, words = self.programs[number], self.words[number] if words is None else words
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
    return encoded.language == "cpp" and not encoded.shared and is_small(matrices)


def is_small(matrices: Sequence[Tensor]) -> bool:
    """Whether the caches of one core hold each of the matrices of a call."""
    return all(matrix.numel() * matrix.element_size() <= _LARGEST_MATRIX for matrix in matrices_of(matrices))


def described(call: Forward | Backward, flags: int = 0, threads: int | None = None) -> list[int]:
    """What all drivers are given; ``flags``: how many parameters have a value for each step."""
    count, threads = len(call.parameters), threads or torch.get_num_threads()
    sizes = [*call.shape, call.every, threads, len(call.widths), len(call.first), count + flags]
    layout = [*parameter_layout(call.parameters, call.inners, range(count)), *[1, 1] * flags]
    return [*sizes, *call.widths, *layout, *[0] * count, *[flags] * flags]


def most_active(matrices: Sequence[Tensor]) -> ctypes.c_double:
    """Zero times what is not finite is not zero: then nothing is left out."""
    return ctypes.c_double(MOST_ACTIVE if all(map(all_finite, matrices_of(matrices))) else 0.0)


def run_forward(encoded: Encoded, call: Forward) -> None:
    """Fill the sequences of the outputs, the last states and the checkpoints."""
    read = [*encoded.taps_of(call), *encoded.values(call.matrices)]
    pairs = [*call.given, *call.made]
    tensors = [*(tensor for _, tensor in pairs), *call.first, *call.last, *call.checkpoints, *call.parameters, *read]
    sizes = [*described(call), *call.before, *call.after, *encoded.described(0, call, pairs, len(call.given))]
    run = library(call.dtype).network_forward
    run(encoded.functions, *arrays(tensors, sizes), most_active(call.matrices))


def run_backward(encoded: Encoded, call: Backward) -> None:
    """Fill the sequences of the gradients and the totals, and turn ``carry`` into the gradients of the first states."""
    read = [*encoded.taps_of(call), *encoded.values(call.matrices)]
    pairs = [*call.given, *call.made]
    tensors = [tensor for _, tensor in (*call.replayed, *pairs)]
    flags = [*call.flags[0]]
    tensors += [*call.first, *call.checkpoints, *call.carry, *call.totals, *call.parameters, *flags, *read]
    sizes = [*described(call, len(flags)), len(call.products[0]), len(call.carry), len(call.totals)]
    sizes += [*call.states[0], *call.states[1], *call.after, *call.products[0], *call.products[1]]
    sizes += [*call.arriving, *call.leaving, *call.summed, *(total.element_size() for total in call.totals)]
    sizes += encoded.described(0, call, call.replayed, len(call.replayed))
    sizes += encoded.described(1, call, pairs, len(call.given))
    run = library(call.dtype).network_backward
    run(encoded.functions, *arrays(tensors, sizes), most_active(call.matrices))
