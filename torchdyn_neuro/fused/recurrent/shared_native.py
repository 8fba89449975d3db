"""The forward loop of a program in which weights that the batch shares change, in one C++ call.

Two frames that meet over the batch only pass on to the weights, some columns at a time; what spikes costs what its
spikes cost. All rows go through a step together, so the threads wait for each other in every step.
"""

import ctypes
import functools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ...native.compiler import arrays, header_library
from ...native.threads import threads_for
from ...sparse.event_product import gather_headers
from .network_native import Encoded, described, is_small, most_active
from .operands import Forward
from .steps import Meeting, Segment, sources_of

_HEADERS = gather_headers(
    "sparse/dense.h",
    *(f"fused/recurrent/{name}.h" for name in ("synapses", "lines", "call", "network", "outer", "shared")),
)
_MATMUL, _TILES, _ROWS = 7, 8, 9
_MOST_ROWS = 128
"""Rows of a batch up to which one call gains on large products of torch."""
_TILE_BYTES, _FEWEST_COLUMNS, _LINE = 24576, 8, 64


def library(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The compiled driver for one type of number; ``None`` if there is none."""
    return header_library(_HEADERS, dtype)


class Words:
    """A forward program as whole numbers.

    Args:
        encoded: the program, and its segments and matrices.

    Attributes:
        reason: why it is left to others; ``None`` if it is not.
        words: the words.
        alone: of each frame, whether it has no rows.
        passing: the products over the batch that only pass on to one segment.
        products: the most of these before a segment.
        frames: the most frames that a segment works on at a time.
    """

    def __init__(self, encoded: Encoded):
        self.encoded, self.program = encoded, encoded.programs[0]
        program = self.program
        self.alone = [width in encoded.shared for width in program.widths]
        self.products, self.frames = 0, 1
        meeting = [s for s in program.steps if isinstance(s, Meeting) and self.alone[s.target]]
        segments = [s for s in program.steps if isinstance(s, Segment) and s.width in encoded.shared]
        self.reason = self._reason(encoded, segments)
        read = {s.target: [] for s in meeting}
        for step in program.steps:
            for k in step.reads if isinstance(step, Segment) else sources_of(step):
                if k in read:
                    read[k].append(step)
        self.passing = {
            s.target: read[s.target][0]
            for s in meeting
            if len(read[s.target]) == 1 and read[s.target][0] in segments and s.target not in program.results
        }
        self.meeting = {s.target: s for s in meeting}

    def _reason(self, encoded: Encoded, segments: Sequence[Segment]) -> str | None:
        program = self.program
        if encoded.language != "cpp" or not encoded.shared:
            return "no weights that the batch shares, in C++"
        if any(step.spread for step in segments):
            return "what repeats along an axis of shared weights"
        types = {node.dtype for node, alone in zip(program.frames, self.alone, strict=True) if alone}
        return None if len(types) == 1 else "weights of several types"

    def of_call(self, before: Sequence[int], after: Sequence[int]) -> tuple[list[int], list[int]]:
        """The words, and of each frame the one in whose memory it lies."""
        lies = [*range(len(self.program.frames))]
        for k in self.passing:
            lies[k] = -1
        for old, new in zip(before, after, strict=True):
            if self.alone[old] and self._replaces(old, new):
                lies[new] = old
        return [word for part in self._parts() for word in part], lies

    def _replaces(self, old: int, new: int) -> bool:
        """Whether weights after a step may take the place of those before it, which nobody reads later."""
        steps = self.program.steps
        reads = [step.reads if isinstance(step, Segment) else sources_of(step) for step in steps]
        # A segment that writes nothing else: it reads all of an element before it writes it.
        writes = [k for k, step in enumerate(steps) if isinstance(step, Segment) and step.writes == (new,)]
        if self.program.results.count(new) != 1 or old in self.program.results or len(writes) != 1:
            return False
        return not any(old in frames for frames in reads[writes[0] + 1 :])

    def _parts(self) -> Iterator[list[int]]:
        program, rows = self.program, []
        for step in program.steps:
            shared = isinstance(step, Segment) and step.width in self.encoded.shared
            meets = isinstance(step, Meeting)
            if meets and step.target in self.passing:
                continue
            if not shared and not meets:
                rows += self.encoded.words_of(program, step)
                continue
            if rows:
                yield [_ROWS, len(rows), *rows]
                rows = []
            if meets and not self.alone[step.target]:
                sizes = self.encoded.pairs[program.widths[step.other]]
                yield [_MATMUL, 6, int(step.transposed), step.one, step.other, step.target, *sizes]
            else:
                words = self._tiles(step)
                yield [_TILES, len(words), *words]
        if rows:
            yield [_ROWS, len(rows), *rows]

    def _tiles(self, step: Segment | Meeting) -> list[int]:
        """Products over the batch, and the segment that they pass on to."""
        if isinstance(step, Meeting):
            products, segment, number = [(step, False)], [0], self.program.widths[step.target]
        else:
            products = [(self.meeting[k], True) for k, reader in self.passing.items() if reader is step]
            used = len(products) + len(step.reads) + len(step.writes)
            segment = [used, *self.encoded.words_of(self.program, step)]
            number, self.frames = step.width, max(self.frames, used)
        self.products = max(self.products, len(products))
        met = [[each.one, each.other, each.target, int(passes)] for each, passes in products]
        return [*self.encoded.pairs[number], len(met), *(word for each in met for word in each), *segment]


@functools.lru_cache(maxsize=256)
def words_of(encoded: Encoded) -> Words:
    """The words of a program, made once."""
    return Words(encoded)


def takes(encoded: Encoded, call: Forward) -> bool:
    """Whether this loop runs a program: with few rows, and matrices that the caches hold."""
    if not encoded.shared or call.shape[1] > _MOST_ROWS or call.given[0][1].device.type != "cpu":
        return False
    if not is_small(call.matrices):
        return False
    words = words_of(encoded)
    program = words.program
    placed = [k for k, _ in (*call.given, *call.made)]
    if words.reason or any(words.alone[k] for k in placed):
        return False
    if any(frame.dtype != call.dtype for frame, alone in zip(program.frames, words.alone, strict=True) if alone):
        return False
    return library(call.dtype) is not None


def run_forward(encoded: Encoded, call: Forward) -> None:
    """What :func:`.network_native.run_forward` fills."""
    words = words_of(encoded)
    program, pairs = words.program, [*call.given, *call.made]
    text, lies = words.of_call(call.before, call.after)
    for k, _ in pairs:
        lies[k] = -1
    alone = [words.alone[k] for k in call.before]
    sizes = [encoded.pairs.get(program.widths[k], (0, 0)) for k in call.before]
    turned = [
        leaf.reshape(call.widths[post], call.widths[pre]).t().contiguous() if shared else leaf
        for leaf, shared, (post, pre) in zip(call.first, alone, sizes, strict=True)
    ]
    last = [
        torch.empty_like(begin) if shared else end for begin, end, shared in zip(turned, call.last, alone, strict=True)
    ]
    parameters, inners = _turned_parameters(encoded, call)
    call = call._replace(parameters=parameters, inners=inners)
    read = [*encoded.taps_of(call), *encoded.values(call.matrices)]
    tensors = [*(tensor for _, tensor in pairs), *turned, *last, *call.checkpoints, *call.parameters, *read]
    widest = max(call.widths[width] for k, width in enumerate(program.widths) if not words.alone[k])
    shapes = [encoded.pairs[number] for number in encoded.shared]
    post, pre = (max(call.widths[shape[k]] for shape in shapes) for k in range(2))
    columns = max(_FEWEST_COLUMNS * post * call.dtype.itemsize, _TILE_BYTES) + _LINE
    threads = threads_for(call.shape[0] * post * pre)
    numbers = [*described(call, threads=threads), *call.before, *call.after]
    numbers += [words.products, words.frames * columns, widest, post, pre]
    numbers += [*encoded.described(0, call, pairs, len(call.given), text), *map(int, words.alone), *lies]
    numbers += [number for pair in sizes for number in pair]
    library(call.dtype).shared_forward(encoded.functions, *arrays(tensors, numbers), most_active(call.matrices))
    for end, found, shared in zip(call.last, last, alone, strict=True):
        if shared:
            end.copy_(found.t().view_as(end))


def _turned_parameters(encoded: Encoded, call: Forward) -> tuple[list[Tensor], list[int]]:
    """Parameters of weights [post, pre] as they lie in [pre, post], and how."""
    values, inners = [*call.parameters], [*call.inners]
    for k, number in enumerate(encoded.parameter_widths[: len(values)]):
        if number not in encoded.shared or values[k].numel() == 1:
            continue
        post, pre = (call.widths[axis] for axis in encoded.pairs[number])
        count = values[k].numel()
        if count == post * pre:
            values[k] = values[k].reshape(post, pre).t().contiguous()
        else:
            inners[k] = 1 if inners[k] == pre else post
    return values, inners
