"""Distributions of the weights and delays of synapses."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import positive_number
from .draw import PLACES, all_alike

_OUTERMOST = 0.25 / PLACES


class Values(ABC):
    """A distribution, given by its quantiles.

    One word of 32 bits is drawn for each value and looked up in 4,097 quantiles, with a straight line between two of
    them; the outermost ones are those of 1/16,384 (of a normal distribution, 3.8 standard deviations).
    """

    @abstractmethod
    def quantile(self, share: Tensor) -> Tensor:
        """The value below which such a share of the values lies."""

    def table(self) -> Tensor:
        """The quantiles, float64 [4097]."""
        share = torch.arange(PLACES + 1, dtype=torch.float64) / PLACES
        return self.quantile(share.clamp(_OUTERMOST, 1 - _OUTERMOST))

    @property
    def low(self) -> float:
        """The lowest value there may be."""
        return float(self.table()[0])


def table_of(owner: str, name: str, value: "float | Values") -> Tensor:
    """The quantiles of a number or a distribution."""
    if isinstance(value, Values):
        return value.table()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise TypeError(f"{owner}: expected {name} to be a number or a distribution, got {value!r}; pass e.g. Normal")
    return all_alike(value)


def _finite(owner: str, name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{owner}: expected {name} to be a finite number, got {value!r}; pass such a number")


@dataclass(frozen=True)
class Normal(Values):
    r"""A normal distribution, within bounds if wanted: what lies outside is drawn again.

    Args:
        mean: its mean, without the bounds.
        sd: its standard deviation, likewise.
        low_bound, high_bound: the bounds.

    Raises:
        ValueError: if ``sd`` is not positive, or hardly a value lies between the bounds.

    Example:
        >>> Normal(1.5, 0.75, low_bound=0.1).table()[[0, 2048]].round(decimals=2).tolist()
        [0.1, 1.53]
    """

    mean: float
    sd: float
    low_bound: float = -math.inf
    high_bound: float = math.inf

    def __post_init__(self) -> None:
        _finite("Normal", "mean", self.mean)
        positive_number("Normal", "sd", self.sd)
        below, above = self._shares()
        if not above - below > 1e-6:
            raise ValueError(
                f"Normal: expected bounds around the mean {self.mean:g}, got {self.low_bound:g} and "
                f"{self.high_bound:g}; widen them"
            )

    def _shares(self) -> tuple[float, float]:
        bounds = torch.tensor([self.low_bound, self.high_bound], dtype=torch.float64)
        return tuple(torch.special.ndtr((bounds - self.mean) / self.sd).tolist())

    def quantile(self, share: Tensor) -> Tensor:
        below, above = self._shares()
        value = self.mean + self.sd * torch.special.ndtri(below + share * (above - below))
        return value.clamp(self.low_bound, self.high_bound)


@dataclass(frozen=True)
class Uniform(Values):
    """All values between two are equally likely.

    Args:
        start, end: the lowest and the highest value.

    Raises:
        ValueError: if the end lies below the start.

    Example:
        >>> Uniform(1.0, 3.0).quantile(torch.tensor(0.5)).item()
        2.0
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            _finite("Uniform", name, getattr(self, name))
        if self.end < self.start:
            raise ValueError(f"Uniform: expected an end from {self.start:g} on, got {self.end:g}; exchange the two")

    def quantile(self, share: Tensor) -> Tensor:
        return self.start + share * (self.end - self.start)

    @property
    def low(self) -> float:
        return float(self.start)


@dataclass(frozen=True)
class LogNormal(Values):
    r"""The logarithm of a value is normal.

    .. math:: x = m\, e^{\sigma \xi}

    Args:
        median: m.
        sigma: standard deviation of the logarithm.

    Raises:
        ValueError: if one of them is not positive.

    Source: Song et al. (2005), PLoS Biol. 3:e68 (weights between pyramidal cells).

    Example:
        >>> LogNormal(0.5, 1.0).quantile(torch.tensor(0.5)).item()
        0.5
    """

    median: float
    sigma: float

    def __post_init__(self) -> None:
        positive_number("LogNormal", "median", self.median)
        positive_number("LogNormal", "sigma", self.sigma)

    def quantile(self, share: Tensor) -> Tensor:
        return self.median * torch.exp(self.sigma * torch.special.ndtri(share))
