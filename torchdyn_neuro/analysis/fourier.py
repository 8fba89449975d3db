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


def extremes(samples: Tensor) -> tuple[Tensor, Tensor]:
    """The smallest and the largest value of each variable of a function by its ``samples`` [N, n], each [n].

    Where they lie is found without a gradient, which they do not need: there the slope is zero.
    """
    with torch.no_grad():
        phases = torch.arange(16 * len(samples), dtype=samples.dtype, device=samples.device) / (16 * len(samples))
        curve = values_at(samples, phases)
        places = [_flat(samples, phases[index]) for index in (curve.argmin(0), curve.argmax(0))]
    low, high = (_each_at(samples, place)[0] for place in places)
    return low, high


def _flat(samples: Tensor, phases: Tensor) -> Tensor:
    """Near phases [n], one for each variable, those at which its slope is zero."""
    nearest = phases
    for _ in range(4):
        _, slope, bend = _each_at(samples, phases)
        step = torch.nan_to_num(-slope / bend, posinf=0.0, neginf=0.0)
        phases = phases + step.clamp(-1 / 32 / len(samples), 1 / 32 / len(samples))
    return torch.where((phases - nearest).abs() < 1 / 16 / len(samples), phases, nearest)


def _each_at(samples: Tensor, phases: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each variable at a phase of its own [n]: the value, its slope and how that changes."""
    count = len(samples)
    speeds = 2 * math.pi * torch.arange(1, count // 2 + 1, dtype=samples.dtype, device=samples.device)[:, None]
    terms = torch.fft.rfft(samples, dim=0) / count
    cosine, sine = torch.cos(speeds * phases), torch.sin(speeds * phases)
    along = 2 * (cosine * terms[1:].real - sine * terms[1:].imag)
    across = -2 * (sine * terms[1:].real + cosine * terms[1:].imag)
    return terms[0].real + along.sum(0), (speeds * across).sum(0), -(speeds**2 * along).sum(0)


def roughness(samples: Tensor) -> float:
    """How large the highest quarter of the harmonics is, relative to the largest but the mean."""
    size = torch.fft.rfft(samples.detach(), dim=0)[1:].abs()
    largest = size.amax(0)
    scale = torch.where(largest > 1e-9 * largest.amax(), largest, torch.inf)
    return (size[len(size) - max(1, len(size) // 4) :].amax(0) / scale).amax().item()
