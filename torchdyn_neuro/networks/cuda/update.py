"""Triton for a step of populations: what has arrived, what comes from outside, the step of the cell, its spikes."""

import functools
from collections.abc import Callable

from ...fused.plan.loops import ForwardPlan
from ...fused.triton.kernels import load_kernel
from ...fused.triton.stepper import move, stepper_tensors
from ...fused.triton.text import KernelText

BLOCK_WORDS = DRIVE_WORDS = 5
_TABLES = "drives_of", "drives", "threshold", "value", "other", "current"
_IMPORT = "from torchdyn_neuro.networks.cuda.functions import append, poisson, take_turn\n"


@functools.cache
def update_kernel(plan: ForwardPlan) -> Callable:
    """The jitted kernel of populations with one step.

    tensors: the clock; sums of all slots; the unit of a sum; of each block of neurons its population, the first of its
    neurons there and how many they are, the number of the first among all, and the place of the first; how many spikes
    each step has, and their list; the first drive of each population; of each drive the input, the stream, how many
    numbers are drawn, where its current is among all, below zero if it has none, and whether that is one for each
    neuron; thresholds, values and other values of 16 numbers of each; the currents; those of the step. sizes: the
    number of the step, that of all neurons, accumulators of a slot, slots, the first of these accumulators, how many
    there are of an input.
    """
    text, inputs = KernelText(), [f"x{k}" for k in range(len(plan.graph.inputs))]
    tensors = ["clock", "sums", "unit", "blocks", "found", "record", *_TABLES, *stepper_tensors(plan)]
    sizes = ["k", "total", "row", "slots", "first", "width"]
    text.lines('@triton.jit(do_not_specialize=["k"])')
    constants = "BLOCK: tl.constexpr, OVERLAP: tl.constexpr"
    text.lines(f"def run({', '.join([*tensors, *sizes])}, {constants}):")
    text.depth = 1
    text.lines("take_turn(OVERLAP)", "t = tl.load(clock) + k")
    with text.block("if t < tl.load(clock + 1):"):
        text.lines(f"block = blocks + {BLOCK_WORDS} * tl.program_id(0)", "lane = tl.arange(0, BLOCK)")
        text.lines(*(f"{name} = tl.load(block + {n})" for n, name in enumerate(("which", "local", "count", "number"))))
        _arrivals(text, inputs)
        _drives(text, inputs)
        output = move(text, plan, inputs)
        text.lines(f"fired = ({output} != 0) & inside")
        text.lines("append(fired, number + lane, found + k, record + tl.cast(k, tl.int64) * total)")
    return load_kernel(_IMPORT + text.source())


def _arrivals(text: KernelText, inputs: list[str]) -> None:
    """Take what has arrived in this step, and leave zeros."""
    text.lines("inside = lane < count", "place = tl.load(block + 4) + lane")
    text.lines("here = sums + (t % slots) * row + first + place", "scale = tl.load(unit)")
    for k, name in enumerate(inputs):
        at = f"here + {k} * width"
        text.lines(
            f"{name} = tl.load({at}, mask=inside, other=0)", f"tl.store({at}, tl.zeros_like({name}), mask=inside)"
        )
        text.lines(f"{name} = scale * {name}.to(scale.dtype)")


def _drives(text: KernelText, inputs: list[str]) -> None:
    def add(what: str) -> None:
        for k, name in enumerate(inputs):
            alone = f"{name} + {what}"
            text.lines(f"{name} = " + (alone if len(inputs) == 1 else f"tl.where(target == {k}, {alone}, {name})"))

    with text.block("for n in range(tl.load(drives_of + which), tl.load(drives_of + which + 1)):"):
        text.lines(f"drive = drives + {DRIVE_WORDS} * n", "target = tl.load(drive)", "steady = tl.load(drive + 3)")
        with text.block("if steady >= 0:"):
            text.lines("own = current + steady + (local + lane) * tl.load(drive + 4)")
            text.lines("constant = tl.load(own, mask=inside, other=0.0)")
            add("constant")
        text.lines("stream = tl.load(drive + 1)", "tables = 16 * n")
        with text.block("for repeat in range(tl.load(drive + 2).to(tl.int32)):"):
            table = "threshold + tables, value + tables, other + tables"
            text.lines(f"drawn = poisson(t, local + lane, stream, repeat, {table})")
            add("drawn")
