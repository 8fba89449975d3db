"""Synapses drawn from counters: what a rule of connectivity is for the kernels, and whole connections made of it."""

import ctypes
import functools
import hashlib
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..native.compiler import CompilerUnavailableError, arrays, required_library

DRAWING = (
    "native/memory.h",
    "fused/cpp/vectors.h",
    "fused/cpp/functions.h",
    "fused/cpp/random.h",
    "wiring/rows.h",
)
PLACES = 4096
"""Of a table of quantiles, which has one entry more."""
CHANCE, DEGREE, LISTED = range(3)
_PROFILES = ("", "gaussian", "exponential", "disc")


@dataclass(frozen=True, eq=False)
class Rule:
    """How the synapses of each presynaptic neuron are drawn.

    Args:
        kind: ``CHANCE``, each pair with a probability; ``DEGREE``, so many of each; ``LISTED``, as given.
        pre, post: numbers of neurons.
        degree: synapses of each neuron.
        degrees: of each by itself, int32 [pre].
        distinct: whether two neurons are connected once at most.
        apart: whether no neuron is connected to itself.
        chance: the probability; where it depends on the distance, the largest.
        profile: ``"gaussian"``, ``"exponential"`` or ``"disc"``, how it falls with the distance.
        width: over which it falls.
        period: after which places repeat, 0 if they do not.
        positions: of the two populations, float64 [neurons, 2].
        start, place: the rows as given, int64 [pre + 1] and int32.
        weight, delay: of each synapse as given, in the type of the weights and int32, in steps.
    """

    kind: int
    pre: int
    post: int
    degree: int = 0
    degrees: Tensor | None = None
    distinct: bool = False
    apart: bool = False
    chance: float = 0.0
    profile: str = ""
    width: float = 1.0
    period: float = 0.0
    positions: tuple[Tensor, Tensor] | None = None
    start: Tensor | None = None
    place: Tensor | None = None
    weight: Tensor | None = None
    delay: Tensor | None = None

    def tensors(self, weights: Tensor, delays: Tensor) -> list[Tensor | None]:
        """What the kernels take; ``weights`` and ``delays`` are tables of quantiles."""
        positions = self.positions or (None, None)
        return [self.start, self.place, self.degrees, self.weight, self.delay, weights, delays, *positions]

    def words(self, stream: int) -> list[int]:
        """The whole numbers of the rule, as the kernels take them."""
        flags = self.distinct + 2 * self.apart
        return [self.kind, self.pre, self.post, self.degree, flags, _PROFILES.index(self.profile), stream]

    def numbers(self) -> list[float]:
        """The other numbers of the rule."""
        return [self.chance, self.width, self.period]


@dataclass(frozen=True, eq=False)
class Rows:
    """A connection by presynaptic neuron.

    Args:
        start: where the row of each neuron begins, int64 [pre + 1].
        place: the postsynaptic neuron of each synapse, uint16 where that is enough, else int32.
        weight: of each synapse.
        delay: of each in steps, int32; absent if not asked for.
    """

    start: Tensor
    place: Tensor
    weight: Tensor
    delay: Tensor | None = None


def stream_of(seed: int, *numbers: int) -> int:
    """32 bits that tell apart what is drawn under one seed."""
    text = " ".join(map(str, (seed, *numbers)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def drawn(table: Tensor, count: int, stream: int) -> Tensor:
    """So many values of a table of quantiles, float64 [count]."""
    share = PLACES * torch.rand(count, generator=torch.Generator().manual_seed(stream), dtype=torch.float64)
    at = share.to(torch.int64)
    return table[at] + (share - at) * (table[at + 1] - table[at])


def all_alike(value: float) -> Tensor:
    """The table of quantiles of one value."""
    return torch.full((PLACES + 1,), float(value), dtype=torch.float64)


def turned(rule: Rule, stream: int) -> Rule:
    """A rule that draws the sources of each target as one whose rows are listed."""
    threads = torch.get_num_threads()
    by_target = replace(rule, pre=rule.post, post=rule.pre)
    start = torch.zeros(rule.pre + 1, dtype=torch.int64)
    counts = torch.zeros(threads, rule.pre, dtype=torch.int64)
    _call("turn_rows", torch.float32, by_target, stream, [start, None, counts])
    place = torch.empty(int(start[-1]), dtype=torch.int32)
    _call("turn_rows", torch.float32, by_target, stream, [start, place, counts])
    return Rule(LISTED, rule.pre, rule.post, start=start, place=place)


def shared_out(rows: int, draws: int, stream: int) -> Tensor:
    """How often each of so many rows is drawn in so many draws, int32 [rows]."""
    counts = torch.zeros(rows, dtype=torch.int32)
    kernel = _library(torch.float32).share_out
    kernel(*arrays([counts], [torch.get_num_threads(), rows, draws, stream]))
    return counts


def typed(rule: Rule, dtype: torch.dtype) -> Rule:
    """A rule whose weights, where they are listed, are of a type.

    Raises:
        ValueError: if one is beyond the largest number of the type.
    """
    if rule.weight is None:
        return rule
    weight = rule.weight.to(dtype).contiguous()
    beyond = torch.isinf(weight) & torch.isfinite(rule.weight)
    if beyond.any():
        raise ValueError(
            f"Given: expected weights that {dtype} holds, got {float(rule.weight[beyond][0]):g}; lower it, or take "
            "torch.float64"
        )
    return replace(rule, weight=weight)


def draw(
    rule: Rule,
    stream: int,
    weights: Tensor,
    delays: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Rows:
    """The synapses of a rule, in the order of their presynaptic neurons.

    Args:
        rule: how they are drawn.
        stream: tells apart connections.
        weights: table of quantiles.
        delays: likewise, in steps; no delays if omitted.
        dtype: of the weights.
    """
    rule = typed(rule, dtype)
    start = torch.zeros(rule.pre + 1, dtype=torch.int64)
    tables = weights, all_alike(1) if delays is None else delays
    _call("count_rows", dtype, rule, stream, [start[1:]], tables=tables)
    torch.cumsum(start, 0, out=start)
    count = int(start[-1])
    place = torch.empty(count, dtype=torch.uint16 if rule.post <= 2**16 else torch.int32)
    weight = torch.empty(count, dtype=dtype)
    steps = None if delays is None else torch.empty(count, dtype=torch.int32)
    _call("fill_rows", dtype, rule, stream, [start, place, weight, steps], place.element_size(), tables=tables)
    return Rows(start, place, weight, steps)


def _call(
    name: str,
    dtype: torch.dtype,
    rule: Rule,
    stream: int,
    results: list[Tensor | None],
    *more: int,
    tables: tuple[Tensor, Tensor] | None = None,
) -> None:
    tables = tables or (all_alike(0), all_alike(1))
    tensors, sizes = [*rule.tensors(*tables), *results], [torch.get_num_threads(), *rule.words(stream), *more]
    getattr(_library(dtype), name)(*arrays(tensors, sizes), (ctypes.c_double * 3)(*rule.numbers()))


@functools.cache
def _library(dtype: torch.dtype) -> ctypes.CDLL:
    try:
        return required_library((*DRAWING, "wiring/draw.h"), dtype)
    except CompilerUnavailableError as error:
        raise CompilerUnavailableError(f"wiring: {error}") from None
