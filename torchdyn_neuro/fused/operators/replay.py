"""Gradients by the eager loop, for those who differentiate them once more or ask for many at once."""

import itertools
import weakref
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...core.state import stack_frames
from ..record.guards import under
from ..record.step import FrozenStep

_steps: "weakref.WeakValueDictionary[int, FrozenStep]" = weakref.WeakValueDictionary()
_numbers = itertools.count()
_blanks: dict[tuple[torch.dtype, torch.device], Tensor] = {}


def register_step(step: FrozenStep) -> int:
    """A number by which :func:`registered_step` finds ``step`` for as long as somebody else holds it."""
    number = next(_numbers)
    _steps[number] = step
    return number


def registered_step(number: int) -> FrozenStep | None:
    """The step of that number; the forward pass of a loop holds it for the backward one."""
    return _steps.get(number)


def blank(like: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """An operand on whose values no gradient depends, though its own gradient may be wanted.

    It is made once, for the transforms of ``torch.func`` let nobody ask for a gradient inside them.
    """
    kind = dtype, like.device
    if kind not in _blanks:
        with torch.inference_mode(False):
            _blanks[kind] = torch.zeros((), dtype=dtype, device=like.device, requires_grad=dtype.is_floating_point)
    return _blanks[kind].expand(tuple(shape))


def replayed_gradients(
    step: FrozenStep | None,
    inputs: Sequence[Tensor],
    states: Sequence[Tensor],
    parameters: Sequence[Tensor],
    output_gradients: Sequence[Tensor | None],
    last_gradients: Sequence[Tensor | None],
) -> list[list[Tensor | None]]:
    """The gradients of inputs, states and parameters, each with its own graph."""
    step = _still_valid(step)

    def run(inputs: list[Tensor], states: Sequence[Tensor], parameters: list[Tensor]) -> list[Tensor]:
        frames = []
        with under(step.settings):
            for x_t in zip(*(x.unbind(0) for x in inputs), strict=True):
                outputs, states = step(x_t, states, parameters)
                frames.append(tuple(outputs))
        return [*stack_frames(frames), *states]

    return _differentiate(run, (inputs, states, parameters), (*output_gradients, *last_gradients))


def _still_valid(step: FrozenStep | None) -> FrozenStep:
    """The step, as it was in the forward pass; what lies outside the module cannot be kept, but a change is seen."""
    if step is None:
        raise RuntimeError(
            "torchdyn_neuro: expected the step of a fused loop to be at hand for a second derivative, but it is gone; "
            "run the loop with backend('eager')"
        )
    if step.world is not None and not step.world.holds():
        raise RuntimeError(
            "torchdyn_neuro: expected globals, closures and classes that a step reads to be in the backward pass what "
            "they were in the forward pass, but some have changed; change them later, make them attributes of the "
            "module, or run it with backend('eager')"
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
