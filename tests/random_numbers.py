"""The random numbers of a run, found from the key that it starts with."""

import torch
from torch import Tensor

from torchdyn_neuro.core.random import normal, normals, uniform


def normals_of(key: Tensor, steps: int, dtype: torch.dtype = torch.float64, *, stream: int = 0) -> Tensor:
    """The two normal numbers of each step of a noise that starts at ``key``: [steps, 2, B, \\*]."""
    return torch.stack([torch.stack(normals(key + n, stream, dtype)) for n in range(1, steps + 1)])


def normal_of(key: Tensor, steps: int, dtype: torch.dtype = torch.float64, *, stream: int = 0) -> Tensor:
    """The normal number of each step of a noise that draws one, and starts at ``key``: [steps, B, \\*]."""
    return torch.stack([normal(key + n, stream, dtype) for n in range(1, steps + 1)])


def uniforms_of(key: Tensor, steps: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """The uniform number of each step of a noise that starts at ``key``: [steps, B, \\*]."""
    return torch.stack([uniform(key + n, 0, dtype) for n in range(1, steps + 1)])
