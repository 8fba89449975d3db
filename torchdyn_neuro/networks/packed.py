"""The synapses of a network, packed in the order in which they are delivered."""

import ctypes
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..core.memory import free_memory
from ..native.compiler import CompilerUnavailableError, arrays, required_library
from ..wiring.draw import DRAWING
from .layout import Layout

_LARGEST = 2**15 - 1
_MOST = 2**31 - 1
_PART = 1 << 22
"""Weights that are rounded at the same time."""
_FORWARD = "pack", "waiting", "drive", "changing", "parts", "run", "cuda/synapses"
_OWN = *_FORWARD, "crossing", "walking", "timing", "reverse"
_HEADERS = (*DRAWING[:3], "fused/cpp/storage.h", *DRAWING[3:], *(f"networks/{name}.h" for name in _OWN))


@functools.cache
def library(dtype: torch.dtype, frozen: bool = False) -> ctypes.CDLL:
    """The compiled kernels for one type of inputs, and of weights."""
    try:
        found = required_library((*_HEADERS[:1], *["networks/frozen.h"] * frozen, *_HEADERS[1:]), dtype)
    except CompilerUnavailableError as error:
        raise CompilerUnavailableError(f"SpikingNetwork: {error}") from None
    found.run_network.restype = found.most_arriving.restype = ctypes.c_int64
    return found


@dataclass(frozen=True, eq=False)
class Packed:
    """Rows of synapses; see ``pack.h``.

    Args:
        places: headers and accumulators, uint16.
        weights: at the same places; whole numbers of 16 bits where they are frozen.
        offsets: of each row, int64 [owners, neurons].
        delays: those that there are, in steps, longest first.
        synapses: their number.
        scale: of frozen weights; ``None`` where they are not.
        listed: of each projection whose weights are learned, their places in the order of its rows, int64 [synapses].
    """

    places: Tensor
    weights: Tensor
    offsets: Tensor
    delays: tuple[int, ...]
    synapses: int
    scale: float | None = None
    listed: Mapping[int, Tensor] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        # torch 2.14 pickles no whole numbers of 16 bits without a sign.
        return {**self.__dict__, "places": self.places.view(torch.int16)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, places=state["places"].view(torch.uint16))

    def largest(self, purpose: str = "to freeze") -> float:
        """The largest weight, whatever its sign; raise if one is not finite."""
        if not all(bool(torch.isfinite(part).all()) for part in self.weights.split(_PART)):
            raise ValueError(f"SpikingNetwork: expected finite weights {purpose}, got others; leave them out")
        return max((float(part.abs().max()) for part in self.weights.split(_PART) if len(part)), default=0.0)

    def frozen(self, largest: float) -> "Packed":
        """The same with weights of 16 bits: whole numbers of the largest one over 32,767."""
        scale = largest / _LARGEST if largest else 1.0
        weights = torch.empty(self.weights.shape, dtype=torch.int16)
        # Part by part, for there is no room for another copy.
        for part, to in zip(self.weights.split(_PART), weights.split(_PART), strict=True):
            to.copy_((part / scale).round_())
        if self.synapses * _LARGEST > _MOST:
            sizes = [torch.get_num_threads(), *self.offsets.shape]
            kernel = library(self.weights.dtype).most_arriving
            found = kernel(*arrays([self.places, weights, self.offsets], sizes))
            if found > _MOST:
                raise ValueError(
                    f"SpikingNetwork: expected neurons whose synapses to one input together have weights of at most "
                    f"{_MOST / _LARGEST:.0f} times the largest one, whose sum 32 bits hold, got {found / _LARGEST:.0f} "
                    "times; run it without freeze()"
                )
        return replace(self, weights=weights, scale=scale, listed={})

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        every = self.places, self.weights, self.offsets, *self.listed.values()
        return sum(x.numel() * x.element_size() for x in every)


def check_memory(synapses: float, wanted: float) -> None:
    """Raise ``MemoryError`` if there is no room for so many synapses in so many bytes."""
    free = free_memory()
    if free is not None and wanted > free:
        raise MemoryError(
            f"SpikingNetwork: expected room for {synapses:.3g} synapses in {wanted / 1e9:.3g} GB, got "
            f"{free / 1e9:.3g} GB that are free; scale the network down, or use a larger machine"
        )


def pack(
    layout: Layout,
    projections: Sequence[tuple[object, int, int, int]],
    streams: Sequence[int],
    dt: float,
    dtype: torch.dtype,
) -> Packed:
    """Draw the synapses of all projections but those that change, twice: once for their number.

    Args:
        layout: of the neurons.
        projections: each with the numbers of its source, its target and the receptor.
        streams: one for each.
        dt: ms.
        dtype: of the weights.
    """
    kernel, threads = library(dtype).pack_rows, torch.get_num_threads()
    delays = sorted(set().union(*(p.delays(dt) for p, *_ in projections)) or {1}, reverse=True)
    lengths = torch.zeros(layout.owners, layout.total, dtype=torch.int64)
    drawn, calls = torch.zeros(1, dtype=torch.int64), []
    starts, listed = {}, {}
    for number, (projection, pre, *_) in enumerate(projections):
        if projection.learned:
            starts[number] = torch.zeros(layout.neurons[pre], dtype=torch.int64)
    for source in sorted({source for projection, source, _, _ in projections if not projection.changes}):
        tensors: list[Tensor | None] = []
        where, words, numbers, own = [], [], [], []
        for number, (each, stream) in enumerate(zip(projections, streams, strict=True)):
            projection, pre, post, receptor = each
            if pre == source and not projection.changes:
                rule = projection.rule(layout.neurons[pre], layout.neurons[post], stream, dt, dtype)
                tensors += rule.tensors(*projection.tables(dt))
                where.append(layout.where(post, receptor))
                words += rule.words(stream)
                numbers += rule.numbers()
                own.append(number)
        count, neurons = len(where), layout.neurons[source]
        sizes = [count, layout.owners, delays[0], layout.total, layout.first(source), neurons, *words]
        calls.append(([*tensors, *where], sizes, (ctypes.c_double * len(numbers))(*numbers), own))

    def lists(own: Sequence[int]) -> list[Tensor | None]:
        return [of.get(number) for number in own for of in (starts, listed)]

    for tensors, sizes, numbers, own in calls:
        results = [lengths, None, None, None, drawn, *lists(own)]
        kernel(*arrays([*tensors, *results], [threads, 0, *sizes]), numbers)
    flat = lengths.flatten()
    offsets, total = (flat.cumsum(0) - flat).reshape(lengths.shape), int(flat.sum())
    offsets[lengths == 0] = -1
    for number, counts in starts.items():
        listed[number] = torch.empty(int(counts.sum()), dtype=torch.int64)
        counts.copy_(counts.cumsum(0) - counts)
    check_memory(total, total * (2 + dtype.itemsize))
    places, weights = torch.empty(total, dtype=torch.uint16), torch.empty(total, dtype=dtype)
    library(dtype).large(*arrays([places, weights], [2, 2 * total, dtype.itemsize * total]))
    for tensors, sizes, numbers, own in calls:
        results = [lengths, offsets, places, weights, drawn, *lists(own)]
        kernel(*arrays([*tensors, *results], [threads, 1, *sizes]), numbers)
    return Packed(places, weights, offsets, tuple(delays), int(drawn) // 2, listed=listed)
