"""What drives a population from outside."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import positive_number

_BINS = 16
_MOST_AT_ONCE = 2.0
"""Mean of one draw, of which hardly ever more than 15 spikes come."""
_MOST = 1e5


@dataclass(frozen=True)
class Poisson:
    r"""Poisson spike trains from outside, independent for each neuron.

    .. math:: x_i[n] = \ldots + w\, k_i[n], \qquad k_i[n] \sim \mathrm{Poisson}(\mathrm{rate} \cdot dt / 1000)

    The numbers come from counters by the alias method, exact to 2^-28: neuron and step alone decide on them.

    Args:
        rate: of all trains of a neuron together, Hz.
        weight: what one spike adds to the input, in the unit of the input.
        receptor: the input of the cell, by its place or its name.

    Raises:
        ValueError: if the rate is negative or a number is not finite; in a run, if more than 10^5 spikes come in a
            step, or the weight is beyond the type of the network.

    Source: Walker (1977), ACM Trans. Math. Softw. 3:253 (alias method).
    """

    rate: float
    weight: float
    receptor: int | str = 0

    def __post_init__(self) -> None:
        positive_number("Poisson", "rate", self.rate, zero=True, unit="Hz")
        _finite("Poisson", "weight", self.weight)

    def draws(self, dt: float) -> int:
        """How many numbers are drawn for a step, the sum of which is taken."""
        mean = self.rate * dt / 1000
        if mean > _MOST:
            raise ValueError(
                f"Poisson: expected at most {_MOST:g} spikes of a neuron in a step of {dt:g} ms, got {mean:g}; take a "
                "Current of rate * dt / 1000 * weight"
            )
        return math.ceil(mean / _MOST_AT_ONCE)

    def table(self, dt: float, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Of one draw: thresholds (32 bits), and what is added below and from them on."""
        mean = self.rate * dt / 1000 / max(1, self.draws(dt))
        share = [math.exp(-mean) * mean**k / math.factorial(k) for k in range(_BINS)]
        share[-1] += 1 - sum(share)
        share = [_BINS * p for p in share]
        threshold, other = [2**32 - 1] * _BINS, list(range(_BINS))
        few, many = ([k for k in range(_BINS) if (share[k] < 1) == low] for low in (True, False))
        while few and many:
            small, large = few.pop(), many[-1]
            threshold[small], other[small] = int(share[small] * (2**32 - 1)), large
            share[large] -= 1 - share[small]
            if share[large] < 1:
                few.append(many.pop())
        fits("Poisson", "weight", _BINS * self.weight, dtype)
        bits = torch.tensor(threshold).to(torch.uint32).view(torch.int32)
        below, above = (torch.tensor(numbers, dtype=dtype) * self.weight for numbers in (range(_BINS), other))
        return bits, below, above


@dataclass(frozen=True)
class Current:
    """A constant input to all neurons of a population.

    Args:
        value: what is added in each step, in the unit of the input; for arrivals that decay (``SynapticLIF``,
            ``TwoSynapseLIF``) that is an arrival in every step: use their ``I_e`` for a current.
        receptor: the input of the cell, by its place or its name.

    Raises:
        ValueError: if the value is not finite; in a run, if it is beyond the type of the network.
    """

    value: float
    receptor: int | str = 0

    def __post_init__(self) -> None:
        _finite("Current", "value", self.value)


def fits(owner: str, name: str, value: float, dtype: torch.dtype) -> None:
    """Raise if a number is beyond the largest one of a type."""
    if not abs(value) <= torch.finfo(dtype).max:
        raise ValueError(f"{owner}: expected {name} that {dtype} holds, got {value:g}; lower it, or take torch.float64")


def _finite(owner: str, name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{owner}: expected {name} to be a finite number, got {value!r}; pass such a number")
