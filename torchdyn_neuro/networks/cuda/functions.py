"""What the kernels of a network are made of."""

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait


@triton.jit
def take_turn(OVERLAP: tl.constexpr):
    """Wait for the kernel before this one, and let the one after it come as far as here."""
    if OVERLAP:
        gdc_launch_dependents()
        gdc_wait()


@triton.jit
def poisson(t, neuron, stream, repeat, threshold, value, other):
    """What Poisson spikes bring to neurons in step t: the numbers of ``drive.h``, of the same counters and rounds."""
    counter, quarter = (neuron // 64) * 16 + neuron % 16, (neuron % 64) // 16
    zero = tl.zeros(neuron.shape, tl.uint32)
    kind = (tl.zeros(neuron.shape, tl.int32) + 5 + repeat).to(tl.uint32)
    w0, w1, w2, w3 = tl.philox(stream, counter.to(tl.uint32), zero + t.to(tl.uint32), kind, zero, n_rounds=7)
    word = tl.where(quarter == 0, w0, tl.where(quarter == 1, w1, tl.where(quarter == 2, w2, w3)))
    number = (word & 15).to(tl.int32)
    below = word < tl.load(threshold + number).to(tl.uint32, bitcast=True)
    return tl.where(below, tl.load(value + number), tl.load(other + number))


@triton.jit
def append(fired, number, found, record):
    """Put the numbers of those that fired behind the others of this step, in no order."""
    count = tl.sum(fired.to(tl.int32), 0)
    if count > 0:
        first = tl.atomic_add(found, count, sem="relaxed")
        place = first + tl.cumsum(fired.to(tl.int32), 0) - 1
        tl.store(record + place, number, mask=fired)


@triton.jit
def arrive(sums, words, weights, place, end, now, left, row, slots, bits):
    """Add the weights of synapses into the slots of the steps in which they arrive.

    Args:
        now: the slot of the step of the spike.
        left: delays from this one on.
    """
    inside = place < end
    word = tl.load(words + place, mask=inside, other=0)
    delay = (word >> bits).to(tl.int32)
    target = (word - (delay.to(word.dtype) << bits)).to(tl.int64)
    weight = tl.load(weights + place, mask=inside, other=0)
    slot = now + delay
    slot = tl.where(slot >= slots, slot - slots, slot).to(tl.int64)
    tl.atomic_add(
        sums + slot * row + target, weight.to(sums.dtype.element_ty), mask=inside & (delay >= left), sem="relaxed"
    )
