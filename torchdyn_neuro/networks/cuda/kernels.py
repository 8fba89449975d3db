"""The kernels of a network but for the steps of its cells; all of them do nothing from the last step on.

``clock`` holds the first of the steps that are launched together and the one behind the last that is to be taken; ``k``
says which of them a launch is, so that launches are recorded once and replayed.
"""

import triton
import triton.language as tl

from .functions import arrive, take_turn


@triton.jit(do_not_specialize=["k"])
def deliver(
    clock, found, record, starts, words, weights, sums, k, total, row, slots, bits,
    SPLIT: tl.constexpr, BLOCK: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    """Add what the spikes of a step bring; each row is divided among ``SPLIT`` programs."""
    take_turn(OVERLAP)
    t = tl.load(clock) + k
    if t < tl.load(clock + 1):
        now = (t % slots).to(tl.int32)
        parts = tl.load(found + k) * SPLIT
        own = record + tl.cast(k, tl.int64) * total
        for part in range(tl.program_id(0), parts, tl.num_programs(0)):
            neuron = tl.load(own + part // SPLIT)
            end = tl.load(starts + neuron + 1)
            for at in range(tl.load(starts + neuron) + part % SPLIT * BLOCK, end, SPLIT * BLOCK):
                arrive(sums, words, weights, at + tl.arange(0, BLOCK), end, now, 0, row, slots, bits)


@triton.jit(do_not_specialize=["count", "t"])
def deliver_late(
    recent, starts, words, weights, sums, count, t, row, slots, bits, BLOCK: tl.constexpr
):  # fmt: skip
    """Add what spikes of earlier steps (step, neuron) bring from step t on."""
    for part in range(tl.program_id(0), count, tl.num_programs(0)):
        step = tl.load(recent + 2 * part)
        neuron = tl.load(recent + 2 * part + 1)
        end = tl.load(starts + neuron + 1)
        for at in range(tl.load(starts + neuron), end, BLOCK):
            arrive(sums, words, weights, at + tl.arange(0, BLOCK), end, step % slots, t - step, row, slots, bits)


@triton.jit(do_not_specialize=["k"])
def give(clock, borders, neurons, found, record, k, total, BLOCK: tl.constexpr):
    """The spikes of a step that are given: those between two borders of a list."""
    t = tl.load(clock) + k
    if t < tl.load(clock + 1):
        last = tl.load(borders + k + 1)
        lane = tl.arange(0, BLOCK)
        for at in range(tl.load(borders + k) + tl.program_id(0) * BLOCK, last, tl.num_programs(0) * BLOCK):
            count = tl.minimum(last - at, BLOCK).to(tl.int32)
            first = tl.atomic_add(found + k, count, sem="relaxed")
            given = tl.load(neurons + at + lane, mask=lane < count, other=0)
            tl.store(record + tl.cast(k, tl.int64) * total + first + lane, given, mask=lane < count)


@triton.jit(do_not_specialize=["k"])
def look(clock, field, places, trace, k, count, BLOCK: tl.constexpr):
    """Write down a field of some neurons."""
    if tl.load(clock) + k < tl.load(clock + 1):
        lane = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        inside = lane < count
        value = tl.load(field + tl.load(places + lane, mask=inside, other=0), mask=inside, other=0.0)
        tl.store(trace + tl.cast(k, tl.int64) * count + lane, value, mask=inside)
