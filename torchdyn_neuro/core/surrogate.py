"""What a surrogate is: an exact spike forward, a smooth slope backward."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor


class _Heaviside(torch.autograd.Function):
    # Backward, too, consists of operations that vmap knows.
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, surrogate: "Surrogate") -> Tensor:
        # A potential that is not a number stays one: as a missing spike it would go unseen.
        return torch.where(x != x, x, (x >= 0).to(x.dtype))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, "Surrogate"], output: Tensor) -> None:
        x, ctx.surrogate = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradient * ctx.surrogate.derivative(x), None


class Surrogate(ABC):
    r"""Base of the surrogate gradients of a spike.

    Forward is the exact step :math:`\Theta(x)`, with :math:`\Theta(0) = 1` (and NaN for NaN); backward multiplies by
    :meth:`derivative`, the one thing a subclass writes. It must act on each element by itself.

    Shape:
        - input: any, the distance to the threshold
        - output: as the input, exactly 0 or 1
    """

    def __call__(self, x: Tensor) -> Tensor:
        return _Heaviside.apply(x, self)

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """The slope that stands for the derivative of the step at ``x``."""
