"""Matrix products inside a step: what stands in for a linear layer while a step is recorded, and writes it down."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from ...core.layers import has_hooks
from .builder import Refusal

_library = torch.library.Library("torchdyn_neuro", "FRAGMENT")
_library.define("product(Tensor x, int matrix, bool transposed) -> Tensor")
_library.define("outer(Tensor gradient, Tensor x, int matrix) -> Tensor")
# While a step is recorded only what depends on what counts, not the numbers.
_library.impl("product", lambda x, matrix, transposed: x.clone(), "CPU")
_library.impl("outer", lambda gradient, x, matrix: gradient.clone(), "CPU")


class Product(torch.autograd.Function):
    """``(x, matrix) -> x W^T`` with the matrix of that number, while a step is recorded."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.matrix = matrix
        return torch.ops.torchdyn_neuro.product(x, matrix, False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        torch.ops.torchdyn_neuro.outer(gradient, x, ctx.matrix)
        return torch.ops.torchdyn_neuro.product(gradient, ctx.matrix, True), None


class ProductStandIn(nn.Module):
    """In the place of a linear layer: x W^T + b, with b an operand like any other and W the matrix of a product.

    While a step is recorded, the product is written down; where ``weight`` has a value it is computed.

    Args:
        matrix: the number of the weight among those of the step.
        bias: the bias, for its type; ``None`` if there is none.
        narrow: whether the weight is of a type with fewer digits than a state has.

    Raises:
        Refusal: from ``forward``, for what is wide in a product that the layer does in its narrow type.
    """

    def __init__(self, matrix: int, bias: Tensor | None, narrow: bool = False):
        super().__init__()
        self.matrix, self.narrow = matrix, narrow
        self.register_buffer("weight", None)
        self.register_buffer("bias", None if bias is None else torch.zeros((), dtype=bias.dtype))

    def forward(self, x: Tensor) -> Tensor:
        if self.narrow and x.dtype in (torch.float32, torch.float64):
            raise Refusal("a product in a type with fewer digits than the state inside the step")
        y = functional.linear(x, self.weight) if self.weight is not None else Product.apply(x, self.matrix)
        return y if self.bias is None else y + self.bias


def is_plain_linear(layer: nn.Module) -> bool:
    """Whether a layer is the linear map of its weight and bias and nothing else; the weight may follow from others."""
    kind = type(layer)
    if parametrize.is_parametrized(layer):
        kind = kind.__mro__[1]
    if kind is not nn.Linear and not kind.__dict__.get("plain_linear", False):
        return False
    return "forward" not in vars(layer) and not has_hooks(layer)
