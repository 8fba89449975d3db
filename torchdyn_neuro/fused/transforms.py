"""What a kernel of ours cannot go through: transforms that run a function in their own way."""

from collections.abc import Iterable

import torch
from torch import Tensor


def active_transform() -> str | None:
    """The transform at work, if there is one."""
    # Not peek_interpreter_stack(), which is never None while torch compiles.
    if torch._C._functorch.maybe_current_level() is not None:
        return "a transform of torch.func"
    if torch.autograd.forward_ad._current_level >= 0:
        return "forward-mode differentiation"
    return None


def batched(tensors: Iterable[Tensor | None]) -> bool:
    """Whether one of these stands for many, as the gradients do while ``vmap`` computes rows of a Jacobian."""
    functorch = torch._C._functorch
    return any(
        tensor is not None and (functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(tensor))
        for tensor in tensors
    )
