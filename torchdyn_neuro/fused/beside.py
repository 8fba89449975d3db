"""Operands of a loop that no frame goes with: plain numbers, and the number of rows of a batch."""

from functools import lru_cache

import torch
from torch import Tensor

from ..core.state import State, first_leaf
from ..core.torch_private import dispatch_mode_count


def plain_numbers(numbers: tuple[float, ...], dtype: torch.dtype, x: State) -> Tensor | None:
    """The plain numbers of a step as an operand of its loop, if it has any; ``x`` is the input."""
    if not numbers:
        return None
    device = first_leaf(x).device
    if torch.compiler.is_compiling() or dispatch_mode_count() > 0:
        return torch.tensor(numbers, dtype=dtype, device=device)
    return _held(numbers, dtype, device)


@lru_cache(maxsize=256)
def _held(numbers: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(numbers, dtype=dtype, device=device)


def number_of_rows(x: State) -> Tensor:
    """How many rows an input [T, B, \\*] has."""
    first = first_leaf(x)
    return torch.full((), first.shape[1], dtype=torch.float32, device=first.device)
