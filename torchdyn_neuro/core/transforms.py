"""What a kernel of ours cannot go through: transforms that run a function in their own way."""

from collections.abc import Iterable

from torch import Tensor

from .torch_private import forward_mode_level, func_level, is_batched, is_old_batched


def active_transform() -> str | None:
    """The transform at work, if there is one."""
    # Not peek_interpreter_stack(), which is never None while torch compiles.
    if func_level() is not None:
        return "a transform of torch.func"
    if forward_mode_level() >= 0:
        return "forward-mode differentiation"
    return None


def batched(tensors: Iterable[Tensor | None]) -> bool:
    """Whether one of these stands for many, as the gradients do while ``vmap`` computes rows of a Jacobian."""
    return any(tensor is not None and (is_batched(tensor) or is_old_batched(tensor)) for tensor in tensors)
