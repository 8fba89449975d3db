"""A module in another floating-point type whose parameters are still those of the original."""

from copy import deepcopy

import torch
from torch import Tensor, nn


def widened(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy in ``dtype`` that computes with the parameters of ``module``, so that gradients reach them.

    What is fixed is copied: quantities with all the digits that they were given, buffers as they are.

    Args:
        module: any module; it is left as it was.
        dtype: a floating-point type.
    """
    standing_in: dict[int, Tensor | None] = {}
    for part in module.modules():
        for tensor in (*part._buffers.values(), *vars(part).values()):
            if isinstance(tensor, Tensor):
                # Only what has no history can be copied.
                standing_in[id(tensor)] = tensor.detach().clone()
        for parameter in part._parameters.values():
            standing_in[id(parameter)] = None
    copy = deepcopy(module, standing_in).to(dtype)
    for name, parameter in module.named_parameters(remove_duplicate=False):
        owner, _, last = name.rpartition(".")
        copy.get_submodule(owner)._parameters[last] = cast(parameter, dtype)
    for part, twin in zip(module.modules(), copy.modules(), strict=True):
        # What a hook has computed from a parameter, such as a pruned weight.
        for name, tensor in vars(part).items():
            if isinstance(tensor, Tensor) and tensor.requires_grad:
                vars(twin)[name] = cast(tensor, dtype)
    return copy


def cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor in ``dtype`` if it holds floats; its gradient passes."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
