"""Values that have no gradient, and say so where one is asked for."""

from typing import Any

import torch
from torch import Tensor

from ..core.transforms import active_transform
from .field import Field
from .solve import known


class _Refused(torch.autograd.Function):
    """Hands a value on; its backward pass raises where a gradient comes to what has none."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, anchor: Tensor, without: Tensor, message: str) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, anchor, without, ctx.message = inputs
        ctx.save_for_backward(anchor, without)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        anchor, without = ctx.saved_tensors
        asked = without & (gradient != 0)
        if known(asked.any()):
            raise ValueError(ctx.message)
        # Inside vmap, where nothing can be raised, no number stands for what is none.
        return torch.where(asked, torch.nan, gradient), torch.zeros_like(anchor), None, None


def drawn(field: Field, state: Tensor, value: Tensor) -> Tensor:
    """What is there to be drawn and has no gradient.

    Args:
        field: the field that is drawn.
        state: a state of it.
        value: what is drawn.
    """
    if not torch.is_grad_enabled():
        return value
    message = "expected a picture without a gradient, got one asked of it; take that of trajectory, fixed_point or f"
    return refused(value, field(state).sum(), f"{field.owner}: {message}")


def refused(value: Tensor, anchor: Tensor, message: str, without: Tensor | bool = True) -> Tensor:
    """A value that raises ``ValueError`` where a gradient of it is asked for.

    Args:
        value: any tensor.
        anchor: a tensor with a gradient, by which the value would have one; if it has none, nothing is lost.
        message: of the error.
        without: which entries have no gradient; all if omitted.
    """
    if not torch.is_grad_enabled() or not (anchor.requires_grad or active_transform() is not None):
        return value
    return _Refused.apply(value, anchor, torch.as_tensor(without, device=value.device), message)
