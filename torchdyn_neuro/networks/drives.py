"""What drives a population from outside."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from ..core.checks import positive_number

_BINS = 16
_MOST_AT_ONCE = 2.0
"""Mean of one draw, of which hardly ever more than 15 spikes come."""
_MOST = 1e5

Number: TypeAlias = float | Tensor
"""A number, or a tensor that may have a gradient, such as an ``nn.Parameter``."""


@dataclass(frozen=True)
class Poisson:
    r"""Poisson spike trains from outside, independent for each neuron.

    .. math:: x_i[n] = \ldots + w\, k_i[n], \qquad k_i[n] \sim \mathrm{Poisson}(\mathrm{rate} \cdot dt / 1000)

    The numbers come from counters by the alias method, exact to 2^-28: neuron and step alone decide on them.

    In :meth:`SpikingNetwork.simulate` the gradient of the weight is that of the numbers drawn. A number of spikes has
    none to its mean :math:`\lambda`; the one that is taken is

    .. math:: \frac{\partial k}{\partial \lambda} := \frac{1}{2} \Bigl(1 + \frac{k}{\lambda}\Bigr),

    for :math:`\partial_\lambda E f(k) = E[f(k + 1) - f(k)]`, of which the trapezoidal rule, with :math:`E[k\,g(k)] =
    \lambda E[g(k + 1)]`, makes this. So it is unbiased where the rest depends on the input of a step at most
    quadratically, and sees the mean of a drive and its variance.

    Args:
        rate: of all trains of a neuron together, Hz; a number or a tensor of one, e.g. an ``nn.Parameter``.
        weight: what one spike adds to the input, in the unit of the input; likewise.
        receptor: the input of the cell, by its place or its name.

    Raises:
        ValueError: if the rate is negative or a number is not finite; in a run, if more than 10^5 spikes come in a
            step, or the weight is beyond the type of the network.

    Source: Walker (1977), ACM Trans. Math. Softw. 3:253 (alias method); Chen (1975), Ann. Probab. 3:534 (the identity).
    """

    rate: Number
    weight: Number
    receptor: int | str = 0

    def __post_init__(self) -> None:
        self._rate(), self._weight()

    def _rate(self) -> float:
        return positive_number("Poisson", "rate", _one("Poisson", "rate", self.rate), zero=True, unit="Hz")

    def _weight(self) -> float:
        return _finite("Poisson", "weight", _one("Poisson", "weight", self.weight))

    def mean(self, dt: float) -> float:
        """Spikes of a neuron in a step."""
        return self._rate() * dt / 1000

    def draws(self, dt: float) -> int:
        """How many numbers are drawn for a step, the sum of which is taken."""
        mean = self.mean(dt)
        if mean > _MOST:
            raise ValueError(
                f"Poisson: expected at most {_MOST:g} spikes of a neuron in a step of {dt:g} ms, got {mean:g}; take a "
                "Current of rate * dt / 1000 * weight"
            )
        return math.ceil(mean / _MOST_AT_ONCE)

    def table(self, dt: float, dtype: torch.dtype, weight: float | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Of one draw: thresholds (32 bits), and what is added below and from them on, each spike its weight."""
        mean, weight = self.mean(dt) / max(1, self.draws(dt)), self._weight() if weight is None else weight
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
        fits("Poisson", "weight", _BINS * weight, dtype)
        bits = torch.tensor(threshold).to(torch.uint32).view(torch.int32)
        below, above = (torch.tensor(numbers, dtype=dtype) * weight for numbers in (range(_BINS), other))
        return bits, below, above


@dataclass(frozen=True)
class Current:
    """A constant input to all neurons of a population.

    Args:
        value: what is added in each step, in the unit of the input; for arrivals that decay (``SynapticLIF``,
            ``TwoSynapseLIF``) that is an arrival in every step: use their ``I_e`` for a current. A number, or a tensor
            of one or of one for each neuron, e.g. an ``nn.Parameter``.
        receptor: the input of the cell, by its place or its name.

    Raises:
        ValueError: if the value is not finite; in a run, if it is beyond the type of the network, or the neurons are
            others.
    """

    value: Number
    receptor: int | str = 0

    def __post_init__(self) -> None:
        if isinstance(self.value, Tensor) and self.value.numel() > 1:
            _finite("Current", "value", float(self.value.detach().abs().sum()))
        else:
            _finite("Current", "value", _one("Current", "value", self.value))

    def values(self, neurons: int, dtype: torch.dtype) -> Tensor:
        """Of all neurons, or of each."""
        self.__post_init__()
        value = self.value.detach() if isinstance(self.value, Tensor) else torch.tensor(self.value, dtype=torch.float64)
        if value.numel() not in (1, neurons):
            raise ValueError(
                f"Current: expected a value, or one for each of {neurons} neurons, got shape {tuple(value.shape)}; "
                "pass such"
            )
        fits("Current", "value", float(value.abs().max()), dtype)
        return value.to(dtype).reshape(-1).contiguous()


def fits(owner: str, name: str, value: float, dtype: torch.dtype) -> None:
    """Raise if a number is beyond the largest one of a type."""
    if not abs(value) <= torch.finfo(dtype).max:
        raise ValueError(f"{owner}: expected {name} that {dtype} holds, got {value:g}; lower it, or take torch.float64")


def tensors_of(drive: Poisson | Current) -> dict[str, Tensor]:
    """The numbers of a drive that may have a gradient, by name."""
    names = ("rate", "weight") if isinstance(drive, Poisson) else ("value",)
    found = {name: getattr(drive, name) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def _one(owner: str, name: str, value: Number) -> float:
    if not isinstance(value, Tensor):
        return value
    if value.numel() != 1 or not value.is_floating_point():
        raise ValueError(
            f"{owner}: expected {name} to be one real number, got {value.dtype} of shape {tuple(value.shape)}; "
            "pass such"
        )
    return value.item()


def _finite(owner: str, name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{owner}: expected {name} to be a finite number, got {value!r}; pass such a number")
    return value
