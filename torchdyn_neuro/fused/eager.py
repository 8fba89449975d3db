"""Gradients by the eager loop, for those who differentiate them once more."""

import itertools
import weakref
from collections.abc import Sequence

import torch
from torch import Tensor

from .trace import FlatStep

_steps: "weakref.WeakValueDictionary[int, FlatStep]" = weakref.WeakValueDictionary()
_numbers = itertools.count()


def register_step(step: FlatStep) -> int:
    """A number by which :func:`replayed_gradients` finds ``step`` for as long as somebody else holds it."""
    number = next(_numbers)
    _steps[number] = step
    return number


def replayed_gradients(
    owner: int,
    inputs: Sequence[Tensor],
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    output_gradients: Sequence[Tensor | None],
    last_gradients: Sequence[Tensor | None],
) -> tuple[list[Tensor | None], list[Tensor | None], list[Tensor | None]]:
    """The gradients of inputs, states and parameters, each with its own graph."""
    step = _steps.get(owner)
    if step is None:
        raise RuntimeError(
            "torchdyn_neuro: expected the module of a fused loop to be alive for a second derivative, but it is gone; "
            "keep a reference to it, or run it with backend('eager')"
        )
    # Views, so that one tensor in two places gets two gradients.
    groups = [[operand.view_as(operand) for operand in group] for group in (inputs, states, parameters)]
    results = _run(step, *groups)
    arriving = (*output_gradients, *last_gradients)
    live = [(y, g) for y, g in zip(results, arriving, strict=True) if g is not None and y.requires_grad]
    operands = [operand for group in groups for operand in group]
    wanted = [operand for operand in operands if operand.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(wanted)
    if live and wanted:
        ys, gs = zip(*live, strict=True)
        found = torch.autograd.grad(ys, wanted, gs, create_graph=True, allow_unused=True)
    by_operand = {id(operand): gradient for operand, gradient in zip(wanted, found, strict=True)}
    return tuple([by_operand.get(id(operand)) for operand in group] for group in groups)


def _run(step: FlatStep, inputs: list[Tensor], states: Sequence[Tensor], parameters: list[Tensor]) -> list[Tensor]:
    frames = []
    for x_t in zip(*(x.unbind(0) for x in inputs), strict=True):
        outputs, states = step(x_t, states, parameters)
        frames.append(outputs)
    return [*(torch.stack(ys) for ys in zip(*frames, strict=True)), *states]
