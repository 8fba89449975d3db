"""What a kernel of ours cannot go through: transforms that run a function in their own way."""

import torch


def active_transform() -> str | None:
    """The transform at work, if there is one."""
    if torch._C._functorch.peek_interpreter_stack() is not None:
        return "a transform of torch.func"
    if torch.autograd.forward_ad._current_level >= 0:
        return "forward-mode differentiation"
    return None
