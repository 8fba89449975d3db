"""The loops of a program step by step: a kernel for each segment and a product of torch for each product."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ...sparse.event_product import matrix
from ..operators.registry import get_loop
from .network_native import Encoded
from .program import Product, Program


def run_forward(
    encoded: Encoded,
    pairs: Sequence[tuple[int, Tensor]],
    before: Sequence[int],
    after: Sequence[int],
    first: Sequence[Tensor],
    last: Sequence[Tensor],
    checkpoints: Sequence[Tensor | None],
    parameters: Sequence[Tensor],
    inners: Sequence[int],
    matrices: Sequence[Tensor],
    shape: tuple[int, int, int],
    every: int,
) -> None:
    """What :func:`.network_native.run_forward` fills."""
    program, steps, spare = encoded.programs[0], shape[0], [torch.empty_like(state) for state in last]
    frames, now = _own_frames(program, pairs, (*before, *after)), first
    for t in range(steps):
        if t and t % every == 0:
            for checkpoint, state in zip(checkpoints, now, strict=True):
                if checkpoint is not None:
                    checkpoint[t // every - 1].copy_(state)
        # By turns, so that the last step writes to ``last``.
        later = last if (steps - t) % 2 else spare
        frames |= _rows(pairs, t)
        frames |= dict(zip((*before, *after), (*now, *later), strict=True))
        _run(program, frames, parameters, inners, matrices)
        now = later


def run_backward(
    encoded: Encoded,
    pairs: tuple[Sequence[tuple[int, Tensor]], Sequence[tuple[int, Tensor]]],
    states: tuple[Sequence[int], Sequence[int]],
    products: tuple[Sequence[int], Sequence[int]],
    after: Sequence[int],
    arriving: Sequence[int],
    leaving: Sequence[int],
    summed: Sequence[int],
    first: Sequence[Tensor],
    checkpoints: Sequence[Tensor],
    carry: Sequence[Tensor],
    totals: Sequence[Tensor],
    parameters: Sequence[Tensor],
    inners: Sequence[int],
    matrices: Sequence[Tensor],
    shape: tuple[int, int, int],
    every: int,
) -> None:
    """What :func:`.network_native.run_backward` fills."""
    (ahead, back), given = encoded.programs, (parameters, inners, matrices)
    like, room = pairs[0][0][1], min(every, shape[0])
    # Of the steps of a segment: the states before each and after the last, and the products of each.
    passed = [state.new_empty((room + 1, *state.shape)) for state in first]
    found = [like.new_empty((room, *like.shape[1:]), dtype=ahead.frames[k].dtype) for k in products[0]]
    forward = _own_frames(ahead, pairs[0], (*states[0], *after, *products[0]))
    reverse = _own_frames(back, pairs[1], (*states[1], *products[1], *arriving, *leaving))
    now, later = carry, [torch.empty_like(gradient) for gradient in carry]
    for begin in reversed(range(0, shape[0], every)):
        start = first if begin == 0 else [checkpoint[begin // every - 1] for checkpoint in checkpoints]
        for rows, state in zip(passed, start, strict=True):
            rows[0].copy_(state)
        count = min(every, shape[0] - begin)
        for r in range(count):
            held = [rows[r + step] for step in range(2) for rows in passed]
            forward |= _rows(pairs[0], begin + r)
            forward |= dict(zip((*states[0], *after), held, strict=True))
            forward |= dict(zip(products[0], (rows[r] for rows in found), strict=True))
            _run(ahead, forward, *given)
        for r in reversed(range(count)):
            held = [rows[r] for rows in (*passed, *found)]
            reverse |= _rows(pairs[1], begin + r)
            reverse |= dict(zip((*states[1], *products[1]), held, strict=True))
            reverse |= dict(zip((*arriving, *leaving), (*now, *later), strict=True))
            _run(back, reverse, *given)
            for total, k in zip(totals, summed, strict=True):
                total.add_(reverse[k])
            for gradient, k in zip(later, leaving, strict=True):
                if k < 0:
                    gradient.zero_()
            now, later = later, now
    if now is not carry:
        for gradient, source in zip(carry, now, strict=True):
            gradient.copy_(source)


def _own_frames(program: Program, pairs: Iterable[tuple[int, Tensor]], placed: Iterable[int]) -> dict[int, Tensor]:
    """A place for each frame that is no row of a sequence and has none in ``placed``."""
    sequences, placed = dict(pairs), {*placed}
    like = next(iter(sequences.values()))
    nodes = enumerate(program.frames)
    own = {k: node for k, node in nodes if k not in sequences and k not in placed}
    return {k: like.new_empty(like.shape[1:], dtype=node.dtype) for k, node in own.items()}


def _rows(pairs: Iterable[tuple[int, Tensor]], t: int) -> dict[int, Tensor]:
    return {k: sequence[t] for k, sequence in pairs}


def _run(
    program: Program,
    frames: dict[int, Tensor],
    parameters: Sequence[Tensor],
    inners: Sequence[int],
    matrices: Sequence[Tensor],
) -> None:
    """One step; ``frames`` says where each frame lies."""
    for step in program.steps:
        if isinstance(step, Product):
            weight = matrices[step.matrix] if step.transposed else matrices[step.matrix].t()
            torch.mm(matrix(frames[step.source]), weight, out=matrix(frames[step.target]))
            continue
        read, written = ([frames[k][None] for k in group] for group in (step.reads, step.writes))
        get_loop(step.key).kernels.forward(read, [], parameters, inners, written, [], [], 1)
