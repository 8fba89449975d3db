"""Spikes as lists of times and neurons."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import positive_number


@dataclass(frozen=True, eq=False)
class Spikes:
    """The spikes of a run, in the order of their times and, of one time, of the neurons.

    Args:
        step: of each spike, counted from the start of the simulation, int32 [spikes].
        neuron: of each, counted through all populations in their order, int32 [spikes].
        begin, end: the steps of the run, the last one excluded.
        dt: ms.
        populations: the number of neurons of each.
    """

    step: Tensor
    neuron: Tensor
    begin: int
    end: int
    dt: float
    populations: Mapping[str, int]

    def __post_init__(self) -> None:
        positive_number("Spikes", "dt", self.dt, unit="ms")

    def __len__(self) -> int:
        return len(self.step)

    def __getitem__(self, name: str) -> tuple[Tensor, Tensor]:
        """The times (ms, at the end of the step) and the neurons, from 0 on, of one population's spikes."""
        own, neuron = self.of(name)
        return (self.step[own].to(torch.float64) + 1) * self.dt, neuron

    def of(self, name: str) -> tuple[Tensor, Tensor]:
        """Which spikes are those of one population, by their numbers among all, and its neurons, from 0 on."""
        first = self._first(name)
        own = ((self.neuron >= first) & (self.neuron < first + self.populations[name])).nonzero()[:, 0]
        return own, self.neuron[own] - first

    def _first(self, name: str) -> int:
        if name not in self.populations:
            known = ", ".join(self.populations)
            raise KeyError(f"Spikes: expected one of the populations {known}, got {name!r}; name one of them")
        names = list(self.populations)
        return sum(self.populations[before] for before in names[: names.index(name)])

    def rate(self, name: str) -> float:
        """The mean rate of a population, Hz."""
        times, _ = self[name]
        return 1000.0 * len(times) / (self.populations[name] * (self.end - self.begin) * self.dt)

    def cv(self, name: str, fewest: int = 3) -> float:
        """The coefficient of variation of the intervals, averaged over neurons with so many spikes; NaN without any."""
        times, neuron = self[name]
        order = torch.argsort(neuron, stable=True)
        times, neuron = times[order], neuron[order].to(torch.int64)
        gaps = times.diff()[neuron.diff() == 0]
        owner = neuron[1:][neuron.diff() == 0]
        count = torch.bincount(owner, minlength=self.populations[name]).double()
        mean, square = (torch.zeros_like(count).index_add(0, owner, power) / count for power in (gaps, gaps.square()))
        wanted = count >= max(1, fewest - 1)
        cv = (square - mean.square()).clamp(min=0).sqrt() / mean
        return cv[wanted].mean().item()

    def synchrony(self, name: str, bin: float = 3.0) -> float:
        """The variance of the population's counts of spikes in bins of so many ms, relative to their mean.

        Raises:
            ValueError: if bins are shorter than a step or longer than the run.
        """
        width = round(positive_number("Spikes", "bin", bin, unit="ms") / self.dt)
        bins = (self.end - self.begin) // width if width else 0
        if not bins:
            raise ValueError(
                f"Spikes: expected bins from a step of {self.dt:g} ms to the run of "
                f"{(self.end - self.begin) * self.dt:g} ms, got {bin:g} ms; choose such"
            )
        times, _ = self[name]
        at = (torch.round(times / self.dt).to(torch.int64) - 1 - self.begin) // width
        counts = torch.bincount(at[at < bins], minlength=bins).double()
        return (counts.var(correction=0) / counts.mean()).item()

    def frames(self, name: str, dtype: torch.dtype = torch.float32) -> Tensor:
        """The spikes of a population as frames [T, 1, neurons]."""
        first, count = self._first(name), self.populations[name]
        own = (self.neuron >= first) & (self.neuron < first + count)
        frames = torch.zeros(self.end - self.begin, 1, count, dtype=dtype)
        frames[self.step[own].long() - self.begin, 0, self.neuron[own].long() - first] = 1
        return frames
