"""Random numbers: what a step takes, drawn for a whole sequence, and drawn again for the backward pass."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import TensorWeakRef

from .state import State, leaves, map_state

_BLOCK = 16  # torch fills normal numbers on CPUs in blocks of 16; frames that keep to them can be filled together


class Noisy(NamedTuple):
    """An input with the random numbers that a step takes beside it.

    input: the input, [B, *] or [T, B, *].
    normal: for a stochastic integrator: standard normal numbers in the structure of the state, None where there is no
        noise.
    part: for the noise attached to a spiking cell: its numbers, each of the shape of the input; for a container: one
        ``Noisy`` for each of its dynamics, without an input, and None for those that take none.
    """

    input: State
    normal: State = ()
    part: State = ()


@dataclass(frozen=True)
class Draw:
    """Random numbers that a step takes: one for each element of a frame.

    Args:
        law: ``"normal"`` (mean 0, variance 1) or ``"uniform"`` (from 0 to 1); any other law is made from them.
        shape: shape of the frame, [B, *].
        dtype, device: of the numbers.
    """

    law: str
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def normal(cls, like: Tensor) -> "Draw":
        """Standard normal numbers, one for each element of ``like``."""
        return cls("normal", like.shape, like.dtype, like.device)

    @classmethod
    def uniform(cls, like: Tensor) -> "Draw":
        """Uniform numbers from 0 to 1, one for each element of ``like``."""
        return cls("uniform", like.shape, like.dtype, like.device)

    def zeros(self) -> Tensor:
        """Zeros in the place of the numbers."""
        return torch.zeros(self.shape, dtype=self.dtype, device=self.device)


def with_numbers(x: State, numbers: Noisy | None) -> State:
    """The input (a frame or a sequence) with its random numbers, if there are any."""
    return x if not isinstance(numbers, Noisy) else numbers._replace(input=x)


def parted(x: State) -> tuple[State, State]:
    """An input alone, and the numbers that parts or layers take beside it; None without any."""
    return (x.input, x.part or None if isinstance(x.part, tuple) else x.part) if isinstance(x, Noisy) else (x, None)


def draw_frame(wanted: State) -> State:
    """The numbers of one step, for a tree of :class:`Draw`."""
    drawn = iter(_split(_fill(leaves(wanted), 1, {}), leaves(wanted)))
    return map_state(lambda _: next(drawn)[0], wanted)


def draw_sequence(wanted: State, steps: int) -> State:
    """The numbers of many steps: each tensor [T, B, *] holds what one step after the other would draw.

    Where gradients are wanted, :func:`drawn_again` tells how to do without the tensors until then.

    Args:
        wanted: a tree of :class:`Draw`, those of one step.
        steps: number of steps.
    """
    recipe = _Recipe.of(leaves(wanted), steps)
    drawn = _split(_fill(leaves(wanted), steps, {}), leaves(wanted))
    if recipe is not None:
        for place, tensor in enumerate(drawn):
            tensor._drawn_again = functools.partial(recipe, place), tensor._version
    remaining = iter(drawn)
    return map_state(lambda _: next(remaining), wanted)


def drawn_again(numbers: Tensor) -> Callable[[], Tensor] | None:
    """What draws a sequence of numbers again, bit for bit; None for any other tensor, or if nothing can."""
    recipe, version = getattr(numbers, "_drawn_again", (None, None))
    # Whoever writes into the numbers means the new ones.
    return recipe if recipe is not None and numbers._version == version else None


class _Recipe:
    """Draws the numbers of a sequence again, from a copy of the generator as it was before.

    Args:
        wanted: the numbers of a step.
        steps: number of steps.
        states: the state of the generator of each device.
    """

    def __init__(self, wanted: list[Draw], steps: int, states: dict[torch.device, Tensor]):
        self.wanted, self.steps, self.states = wanted, steps, states
        self.buffers: dict[tuple, TensorWeakRef] = {}

    @classmethod
    def of(cls, wanted: list[Draw], steps: int) -> "_Recipe | None":
        """The recipe for what is about to be drawn."""
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return None
        if torch._C._functorch.peek_interpreter_stack() is not None:
            return None
        states = {}
        for device in {draw.device for draw in wanted}:
            if device.type == "cpu":
                states[device] = torch.get_rng_state()
            elif device.type == "cuda" and not torch.cuda.is_current_stream_capturing():
                states[device] = torch.cuda.get_rng_state(device)
            else:
                return None
        return cls(wanted, steps, states)

    def __call__(self, place: int) -> Tensor:
        """The numbers [T, B, *] of one of the draws."""
        # While a buffer is in use, whatever else comes from it is not drawn once more.
        alive = {kind: buffer for kind, known in self.buffers.items() if (buffer := known()) is not None}
        if _kind(self.wanted[place]) not in alive:
            generators = {}
            for device, state in self.states.items():
                generators[device] = torch.Generator(device)
                generators[device].set_state(state)
            alive = {**_fill(self.wanted, self.steps, generators), **alive}
            self.buffers = {kind: TensorWeakRef(buffer) for kind, buffer in alive.items()}
        return _split(alive, self.wanted)[place]


def _kind(draw: Draw) -> tuple:
    return draw.law, draw.dtype, draw.device


def _width(draw: Draw) -> int:
    return -(-prod(draw.shape) // _BLOCK) * _BLOCK


def _fill(wanted: list[Draw], steps: int, generators: dict[torch.device, torch.Generator]) -> dict[tuple, Tensor]:
    """The numbers of all steps, [T, numbers of a step], in one buffer for each kind."""
    widths: dict[tuple, int] = {}
    for draw in wanted:
        widths[_kind(draw)] = widths.get(_kind(draw), 0) + _width(draw)
    devices = [device for _, _, device in widths]
    buffers = {}
    for kind, width in widths.items():
        law, dtype, device = kind
        make = torch.randn if law == "normal" else torch.rand
        if device.type == "cpu" and devices.count(device) == 1:
            # On a CPU, filling many rows gives what filling one after the other gives.
            buffers[kind] = make(steps, width, dtype=dtype, device=device, generator=generators.get(device))
        else:
            buffers[kind] = torch.empty(steps, width, dtype=dtype, device=device)
    apart = [kind for kind in widths if kind[2].type != "cpu" or devices.count(kind[2]) > 1]
    for step in range(steps if apart else 0):
        for law, dtype, device in apart:
            row = buffers[law, dtype, device][step]
            (row.normal_ if law == "normal" else row.uniform_)(generator=generators.get(device))
    return buffers


def _split(buffers: dict[tuple, Tensor], wanted: list[Draw]) -> list[Tensor | None]:
    """What belongs to each draw, [T, B, *]; None where there is no buffer for it."""
    ends = dict.fromkeys(map(_kind, wanted), 0)
    found = []
    for draw in wanted:
        kind, start = _kind(draw), ends[_kind(draw)]
        ends[kind] = start + _width(draw)
        rows = buffers.get(kind)
        found.append(None if rows is None else rows[:, start : start + prod(draw.shape)].unflatten(1, draw.shape))
    return found
