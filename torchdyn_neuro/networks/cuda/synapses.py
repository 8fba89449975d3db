"""The synapses of a network on a device: one row for each presynaptic neuron."""

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ...core.memory import free_memory
from ...native.compiler import arrays
from ..layout import Layout
from ..packed import Packed, library
from .groups import Group

_ACCUMULATORS = 2**16
_WORD = 31
"""Bits of an accumulator and a delay together, up to which a word has 32."""
_PIECE = 1 << 24
"""Synapses that are copied to the device at a time."""
_BITS = 30
"""Of the largest weight in float32, in units of a sum."""
_MOST_BITS = 53
"""The same in float64, if there is room in 63 bits for all that may arrive at a neuron in a step."""

_known: "WeakKeyDictionary[Packed, tuple[tuple, DeviceSynapses]]" = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class DeviceSynapses:
    """Synapses without a weight are left out.

    Args:
        starts: where the synapses of each neuron begin, and where those of the last end, int64 [neurons + 1].
        words: the accumulator of each synapse, and its delay above the ``bits`` of these, int32 or int64.
        weights: whole numbers of ``unit``: of 16 bits where they are frozen, of 32 where they are float32, else of 64.
        bits: of an accumulator.
        unit: what is added up is a whole number of it.
        lengths: how many synapses each neuron has, int64 [neurons], on the CPU.
    """

    starts: Tensor
    words: Tensor
    weights: Tensor
    bits: int
    unit: float
    lengths: Tensor

    @property
    def sums(self) -> torch.dtype:
        """Of what is added up."""
        return torch.int32 if self.weights.dtype == torch.int16 else torch.int64

    @property
    def nbytes(self) -> int:
        """Bytes on the device."""
        return sum(x.numel() * x.element_size() for x in (self.starts, self.words, self.weights))


def on_device(packed: Packed, layout: Layout, groups: Sequence[Group], device: torch.device) -> DeviceSynapses:
    """The synapses on a device, copied once for the same weights.

    Raises:
        ValueError: if a weight is not finite.
        MemoryError: if there is no room for them.
    """
    # Of tensors made in inference mode nobody counts the changes.
    version = object() if packed.weights.is_inference() else packed.weights._version
    key = device, version, tuple((group.numbers, group.places, group.first) for group in groups)
    known = _known.get(packed)
    if known is None or known[0] != key:
        _known.pop(packed, None)
        _known[packed] = known = key, _copied(packed, layout, groups, device)
    return known[1]


def forget(packed: Packed) -> None:
    """Give the memory of the device back."""
    _known.pop(packed, None)


def _copied(packed: Packed, layout: Layout, groups: Sequence[Group], device: torch.device) -> DeviceSynapses:
    frozen, dtype = packed.scale is not None, packed.weights.dtype
    largest = 0.0 if frozen else packed.largest("on a GPU")
    functions = library(torch.float32 if frozen else dtype, frozen)
    functions.count_synapses.restype = ctypes.c_int64
    lengths = torch.zeros(layout.total, dtype=torch.int64)
    shape = [torch.get_num_threads(), layout.owners, layout.total]
    rows = [packed.places, packed.weights, packed.offsets]
    most = functions.count_synapses(*arrays([*rows, lengths], shape))
    if frozen:
        numbers, unit = torch.int16, packed.scale
    else:
        numbers = torch.int32 if dtype == torch.float32 else torch.int64
        room = _BITS if dtype == torch.float32 else min(_MOST_BITS, 62 - most.bit_length())
        smallest = math.frexp(torch.finfo(dtype).tiny)[1] - 1
        unit = math.ldexp(1.0, max(smallest, math.frexp(largest)[1] - room))
    bits = max(1, (max((group.end for group in groups), default=1) - 1).bit_length())
    narrow = bits + packed.delays[0].bit_length() <= _WORD
    words = torch.int32 if narrow else torch.int64
    starts = torch.zeros(layout.total + 1, dtype=torch.int64)
    torch.cumsum(lengths, 0, out=starts[1:])
    count = int(starts[-1])
    _check_room(count, count * (words.itemsize + numbers.itemsize), device)
    found = torch.empty(count, dtype=words, device=device), torch.empty(count, dtype=numbers, device=device)
    pinned, where = device.type == "cuda", _accumulators(layout, groups)
    room = min(count, max(_PIECE, int(lengths.max())))
    staged = [torch.empty(room, dtype=each.dtype, pin_memory=pinned) for each in found]
    # Frozen weights are whole numbers already.
    per = torch.tensor(1.0 if frozen else 1 / unit, dtype=torch.float64)
    first = 0
    while first < layout.total:
        last = max(first + 1, int(torch.searchsorted(starts, starts[first] + room, right=True)) - 1)
        begin, end = int(starts[first]), int(starts[last])
        sizes = [*shape, first, last, bits, 8 * words.itemsize, 8 * numbers.itemsize]
        functions.list_synapses(*arrays([*rows, starts, where, per, *staged], sizes))
        for whole, part in zip(found, staged, strict=True):
            whole[begin:end].copy_(part[: end - begin])
        first = last
    return DeviceSynapses(starts.to(device), *found, bits, unit, lengths)


def _accumulators(layout: Layout, groups: Sequence[Group]) -> Tensor:
    """The accumulator on the device of each one of an owner, int32 [owners, 2^16]."""
    found = torch.zeros(layout.owners * _ACCUMULATORS, dtype=torch.int32)
    for group in groups:
        for number in group.numbers:
            for receptor in range(layout.inputs[number]):
                at, first = layout.where(number, receptor).to(torch.int64), group.accumulator(number, receptor)
                found[at] = torch.arange(first, first + len(at), dtype=torch.int32)
    return found


def _check_room(synapses: int, wanted: int, device: torch.device) -> None:
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    if free is not None and wanted > free:
        raise MemoryError(
            f"SpikingNetwork: expected room on {device} for {synapses:.3g} synapses in {wanted / 1e9:.3g} GB, got "
            f"{free / 1e9:.3g} GB that are free; scale the network down, or freeze() it"
        )
