"""Periodic functions by their values at equally spaced phases."""

import math

import torch
from torch import Tensor


def differentiation(count: int, like: Tensor) -> Tensor:
    r"""The matrix [N, N] that maps values at N phases to their derivatives by the phase, which goes from 0 to 1.

    Args:
        count: N, odd.
        like: gives type and device.

    Source: Trefethen (2000), Spectral Methods in MATLAB, ch. 3.
    """
    steps = torch.arange(count, dtype=like.dtype, device=like.device)
    apart = steps[:, None] - steps[None, :]
    sign = 1 - 2 * (apart.abs() % 2)
    matrix = math.pi * sign / torch.sin(math.pi * apart / count)
    return torch.where(apart == 0, torch.zeros_like(matrix), matrix)


def values_at(samples: Tensor, phases: Tensor) -> Tensor:
    """The function with ``samples`` [N, n], N odd, at any phases [P], as [P, n]."""
    count = len(samples)
    waves = torch.arange(1, count // 2 + 1, dtype=samples.dtype, device=samples.device)
    terms = torch.fft.rfft(samples, dim=0) / count
    angles = 2 * math.pi * phases[:, None] * waves
    return terms[0].real + 2 * (torch.cos(angles) @ terms[1:].real - torch.sin(angles) @ terms[1:].imag)


def roughness(samples: Tensor) -> float:
    """How large the highest quarter of the harmonics is, relative to the largest but the mean."""
    size = torch.fft.rfft(samples.detach(), dim=0)[1:].abs()
    largest = size.amax(0)
    scale = torch.where(largest > 1e-9 * largest.amax(), largest, torch.inf)
    return (size[len(size) - max(1, len(size) // 4) :].amax(0) / scale).amax().item()
