"""The loops of a program step by step: a kernel for each segment and a product of all threads, or of a card."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ...sparse.event_product import all_finite, gather_product, matrix
from ..operators.registry import get_loop
from ..record.graph import LineRead
from .lines import add_to, matrices_of, read_from
from .network_native import Encoded
from .operands import MOST_ACTIVE, Backward, Forward
from .steps import Dot, Meeting, Product, Program


def run_forward(encoded: Encoded, call: Forward) -> None:
    """What :func:`.network_native.run_forward` fills."""
    program, steps, spare = encoded.programs[0], call.shape[0], [torch.empty_like(state) for state in call.last]
    run, pairs, placed = _Runner(encoded, call, MOST_ACTIVE), (*call.given, *call.made), (*call.before, *call.after)
    frames, now = _own_frames(encoded, program, call, pairs, placed), call.first
    for t in range(steps):
        if t and t % call.every == 0:
            for checkpoint, state in zip(call.checkpoints, now, strict=True):
                if checkpoint is not None:
                    checkpoint[t // call.every - 1].copy_(state)
        # By turns, so that the last step writes to ``last``.
        later = call.last if (steps - t) % 2 else spare
        frames |= _rows(pairs, t)
        frames |= dict(zip(placed, (*now, *later), strict=True))
        run(program, frames, _up_to(call.lines, t, steps))
        now = later


def run_backward(encoded: Encoded, call: Backward) -> None:
    """What :func:`.network_native.run_backward` fills."""
    ahead, back = encoded.programs
    replay, run = _Runner(encoded, call, MOST_ACTIVE), _Runner(encoded, call, 0.0)
    pairs, room = (*call.given, *call.made), min(call.every, call.shape[0])
    # Of the steps of a segment: the states before each and after the last, and the products of each.
    passed = [state.new_empty((room + 1, *state.shape)) for state in call.first]
    found = [_frame(encoded, ahead, call, k, room) for k in call.products[0]]
    forward = _own_frames(encoded, ahead, call, call.replayed, (*call.states[0], *call.after, *call.products[0]))
    placed = *call.states[1], *call.products[1], *call.arriving, *call.leaving
    reverse = _own_frames(encoded, back, call, pairs, placed)
    now, later = call.carry, [torch.empty_like(gradient) for gradient in call.carry]
    for begin in reversed(range(0, call.shape[0], call.every)):
        start = call.first
        if begin:
            start = [checkpoint[begin // call.every - 1] for checkpoint in call.checkpoints]
        for rows, state in zip(passed, start, strict=True):
            rows[0].copy_(state)
        count = min(call.every, call.shape[0] - begin)
        # Of the last step only the products are wanted.
        for r in range(count if found else count - 1):
            held = [rows[r + step] for step in range(2) for rows in passed]
            forward |= _rows(call.replayed, begin + r)
            forward |= dict(zip((*call.states[0], *call.after), held, strict=True))
            forward |= dict(zip(call.products[0], (rows[r] for rows in found), strict=True))
            replay(ahead, forward, _up_to(call.lines[0], begin + r, call.shape[0]))
        for r in reversed(range(count)):
            held = [rows[r] for rows in (*passed, *found)]
            reverse |= _rows(pairs, begin + r)
            reverse |= dict(zip((*call.states[1], *call.products[1]), held, strict=True))
            reverse |= dict(zip((*call.arriving, *call.leaving), (*now, *later), strict=True))
            run(back, reverse, _up_to(call.lines[1], begin + r, call.shape[0]), call.flags[begin + r])
            for total, k in zip(call.totals, call.summed, strict=True):
                total.add_(reverse[k].view(total.shape))
            for gradient, k in zip(later, call.leaving, strict=True):
                if k < 0:
                    gradient.zero_()
            now, later = later, now
    if now is not call.carry:
        for gradient, source in zip(call.carry, now, strict=True):
            gradient.copy_(source)


def _frame(encoded: Encoded, program: Program, call: Forward | Backward, k: int, *room: int) -> Tensor:
    like, number = call.given[0][1], program.widths[k]
    shape = *(() if number in encoded.shared else like.shape[1:-1]), call.widths[number]
    return like.new_empty((*room, *shape), dtype=program.frames[k].dtype)


def _own_frames(
    encoded: Encoded,
    program: Program,
    call: Forward | Backward,
    pairs: Iterable[tuple[int, Tensor]],
    placed: Iterable[int],
) -> dict[int, Tensor]:
    """A place for each frame that is no row of a sequence and has none in ``placed``."""
    elsewhere = {*placed, *(k for k, _ in pairs)}
    return {k: _frame(encoded, program, call, k) for k in range(len(program.frames)) if k not in elsewhere}


def _rows(pairs: Iterable[tuple[int, Tensor]], t: int) -> dict[int, Tensor]:
    return {k: sequence[t] for k, sequence in pairs}


def _up_to(lines: Mapping[int, Tensor], t: int, steps: int) -> dict[int, Tensor]:
    """Of lines that so many steps are given to, what step t can read."""
    return {k: rows[t : rows.shape[0] - steps + t + 1] for k, rows in lines.items()}


class _Runner:
    """Runs a step of a program; ``frames`` says where each frame lies, ``lines`` what it can read."""

    def __init__(self, encoded: Encoded, call: Forward | Backward, most_active: float):
        self.call, self.most_active, self.encoded = call, most_active, encoded
        self.gathers = most_active > 0 and call.given[0][1].device.type == "cpu"
        self.values: dict[tuple[int, bool], Tensor] = {}
        if self.gathers:
            self.values = dict(zip(encoded.matrices, encoded.values(call.matrices), strict=True))
            self.gathers = all(map(all_finite, matrices_of(call.matrices)))

    def __call__(
        self,
        program: Program,
        frames: dict[int, Tensor],
        lines: Mapping[int, Tensor],
        flags: Iterable[Tensor] = (),
    ) -> None:
        parameters, inners = [*self.call.parameters, *flags], self.call.inners
        inners = [*inners, *[1] * (len(parameters) - len(inners))]
        for step in program.steps:
            if isinstance(step, Product) and isinstance(step.matrix, LineRead):
                line, frame = (step.target, step.source) if step.transposed else (step.source, step.target)
                taps = self.call.matrices[step.matrix.taps :][:2] if step.matrix.taps >= 0 else ()
                (add_to if step.transposed else read_from)(lines[line], frames[frame], *taps)
                continue
            if isinstance(step, Product) and step.matrix < 0:
                self._along(step, frames[step.source], frames[step.target])
                continue
            if isinstance(step, Meeting):
                self._meet(program, step, *(frames[k] for k in (step.one, step.other, step.target)))
                continue
            if isinstance(step, Product):
                self._multiply(step, matrix(frames[step.source]), matrix(frames[step.target]))
                continue
            if isinstance(step, Dot):
                self._dot(step, *(frames[k] for k in (step.source, step.other, step.target)))
                continue
            read, written = ([frames[k][None] for k in group] for group in (step.reads, step.writes))
            kernels = get_loop(step.key).kernels
            spread = [self._repeated(matrix, frames[k]) for k, matrix in step.spread]
            # Without the flags of the backward pass, which this step does not read.
            absent = [(read[0], 1)] * (step.known - len(parameters)) if spread else []
            given = [*parameters, *(each for each, _ in (*absent, *spread))]
            lie = [*inners, *(inner for _, inner in (*absent, *spread))]
            kernels.forward(read, [], given, lie, written, [], [], 1)

    def _repeated(self, pattern: int, source: Tensor) -> tuple[Tensor, int]:
        """A frame that repeats along an axis of synapses as a parameter of a kernel, and how it lies."""
        axis, *axes = self.encoded.along(pattern)
        post, pre = (self.call.widths[k] for k in axes)
        if axis == -1:
            return source, pre
        rows = source.reshape(-1, 1, pre)
        return rows.expand(-1, post, pre).contiguous(), 1

    def _dot(self, step: Dot, source: Tensor, other: Tensor, target: Tensor) -> None:
        """A frame of synapses times one of neurons, summed over an axis."""
        axis, *axes = self.encoded.along(step.matrix)
        weight = source.view(-1, *(self.call.widths[k] for k in axes))
        weight = weight if axis == -1 else weight.mT
        torch.bmm(weight, matrix(other).unsqueeze(-1), out=matrix(target).unsqueeze(-1))

    def _along(self, step: Product, source: Tensor, target: Tensor) -> None:
        """Sum over an axis of synapses, or repeat along it."""
        axis, *axes = self.encoded.along(step.matrix)
        sizes = [self.call.widths[k] for k in axes]
        one = -1, sizes[-3 - axis]
        if step.transposed:
            spread = target.view(-1, *sizes)
            spread.copy_(source.view(one).unsqueeze(axis).expand_as(spread))
        else:
            torch.sum(source.view(-1, *sizes), axis, out=target.view(one))

    def _meet(self, program: Program, step: Meeting, one: Tensor, other: Tensor, target: Tensor) -> None:
        """A frame through weights that the batch shares, or two frames over the batch."""
        place = step.other if program.widths[step.other] in self.encoded.shared else step.target
        sizes = [self.call.widths[k] for k in self.encoded.pairs[program.widths[place]]]
        if place == step.target:
            torch.mm(matrix(one).t(), matrix(other), out=target.view(sizes))
        else:
            weight = other.view(sizes)
            torch.mm(matrix(one), weight if step.transposed else weight.t(), out=matrix(target))

    def _multiply(self, step: Product, source: Tensor, target: Tensor) -> None:
        if self.gathers:
            weight = self.values[step.matrix, step.transposed]
            if gather_product(source, weight, None, target, self.most_active, known=True):
                return
        else:
            weight = self.call.matrices[step.matrix]
            weight = weight if step.transposed else weight.t()
        torch.mm(source, weight, out=target)
