"""What a surrogate is: an exact spike forward, a smooth slope backward."""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from .torch_private import forward_mode_level, func_transform_active


def _heaviside(x: Tensor) -> Tensor:
    # A potential that is not a number stays one: as a missing spike it would go unseen.
    return torch.where(x != x, x, (x >= 0).to(x.dtype))


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, surrogate: "Surrogate") -> Tensor:
        ctx.surrogate = surrogate
        ctx.save_for_backward(x)
        return _heaviside(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * ctx.surrogate.derivative(x), None


class _TransformedSpike(torch.autograd.Function):
    """The same under the transforms of ``torch.func`` and forward-mode differentiation.

    Apart, because the compiler takes no function with a ``jvp``, and one with ``setup_context`` costs several times as
    much per call.
    """

    # Backward and jvp, too, consist of operations that vmap knows.
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, surrogate: "Surrogate") -> Tensor:
        return _heaviside(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, "Surrogate"], output: Tensor) -> None:
        x, ctx.surrogate = inputs
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * ctx.surrogate.derivative(x), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        (x,) = ctx.saved_tensors
        return tangent * ctx.surrogate.derivative(x)


class Surrogate(ABC):
    r"""Base of the surrogate gradients of a spike.

    Forward is the exact step :math:`\Theta(x)`, with :math:`\Theta(0) = 1` (and NaN for NaN); backward, and
    forward-mode differentiation, multiply by :meth:`derivative`, the one thing a subclass writes. It must act on each
    element by itself.

    Shape:
        - input: any, the distance to the threshold
        - output: as the input, exactly 0 or 1
    """

    def __call__(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling() and (func_transform_active() or forward_mode_level() >= 0):
            return _TransformedSpike.apply(x, self)
        return _Spike.apply(x, self)

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """The slope that stands for the derivative of the step at ``x``."""

    @property
    def support(self) -> float:
        """The distance from the threshold from which on the slope is zero."""
        return math.inf
