"""Gradients by the eager loop, for those who differentiate them once more or ask for many at once."""

import itertools
import weakref
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

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
) -> list[list[Tensor | None]]:
    """The gradients of inputs, states and parameters, each with its own graph."""
    step = _find(owner)

    def run(inputs: list[Tensor], states: Sequence[Tensor], parameters: list[Tensor]) -> list[Tensor]:
        frames = []
        for x_t in zip(*(x.unbind(0) for x in inputs), strict=True):
            outputs, states = step(x_t, states, parameters)
            frames.append(outputs)
        return [*(torch.stack(ys) for ys in zip(*frames, strict=True)), *states]

    return _differentiate(run, (inputs, states, parameters), (*output_gradients, *last_gradients))


def replayed_recurrent_gradients(
    owner: int,
    drive: Tensor,
    weight: Tensor,
    before: Tensor,
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    arriving: Sequence[Tensor | None],
) -> list[list[Tensor | None]]:
    """The gradients of (drive, weight, before), states and parameters of a recurrent layer, each with its own graph."""
    step = _find(owner)

    def run(outer: list[Tensor], states: Sequence[Tensor], parameters: list[Tensor]) -> list[Tensor]:
        drive, weight, feedback = outer
        frames = []
        for drive_t in drive.unbind(0):
            (feedback,), states = step([drive_t + functional.linear(feedback, weight)], states, parameters)
            frames.append(feedback)
        return [torch.stack(frames), *states]

    return _differentiate(run, ([drive, weight, before], states, parameters), arriving)


def _find(owner: int) -> FlatStep:
    step = _steps.get(owner)
    if step is None:
        raise RuntimeError(
            "torchdyn_neuro: expected the module of a fused loop to be alive for a second derivative, but it is gone; "
            "keep a reference to it, or run it with backend('eager')"
        )
    return step


def _differentiate(
    run: Callable[..., list[Tensor]], groups: Sequence[Sequence[Tensor]], arriving: Sequence[Tensor | None]
) -> list[list[Tensor | None]]:
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, so that one tensor in two places gets two gradients.
        groups = [[operand.view_as(operand) for operand in group] for group in groups]
        results = run(*groups)
    live = [(y, g) for y, g in zip(results, arriving, strict=True) if g is not None and y.requires_grad]
    operands = [operand for group in groups for operand in group]
    wanted = [operand for operand in operands if operand.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(wanted)
    if live and wanted:
        ys, gs = zip(*live, strict=True)
        found = torch.autograd.grad(ys, wanted, gs, create_graph=differentiable, allow_unused=True)
    by_operand = {id(operand): gradient for operand, gradient in zip(wanted, found, strict=True)}
    return [[by_operand.get(id(operand)) for operand in group] for group in groups]
