"""Which neurons belong to which owner, and where their inputs arrive."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

BLOCK = 64
"""Neurons that no border between owners divides: whole lines of the caches, and what one draw of a drive is for."""
_ACCUMULATORS = 2**16
_MOST_OWNERS = 2**14
ELSEWHERE = -1
"""The place of a neuron of another process."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Neurons shared out among owners, some blocks of each population to each.

    Args:
        neurons, inputs: of each population.
        owners: their number in a process; what a network computes does not depend on it.
        processes, rank: how many there are, and which is this one, whose owners are counted here.
    """

    neurons: tuple[int, ...]
    inputs: tuple[int, ...]
    owners: int
    processes: int = 1
    rank: int = 0

    @classmethod
    def for_threads(
        cls, neurons: Sequence[int], inputs: Sequence[int], threads: int, processes: int = 1, rank: int = 0
    ) -> "Layout":
        """One owner for each thread, or more where one would have more inputs than 16 bits tell apart."""
        if threads > _MOST_OWNERS:
            raise ValueError(f"SpikingNetwork: expected at most {_MOST_OWNERS} owners, got {threads}; take fewer")
        found = cls(tuple(neurons), tuple(inputs), max(1, threads), processes, rank)
        while found.widest > _ACCUMULATORS:
            if found.owners >= _MOST_OWNERS:
                raise ValueError(
                    f"SpikingNetwork: expected neurons that {_MOST_OWNERS} parts of {_ACCUMULATORS} inputs hold, got "
                    f"{found.total} in {len(found.neurons)} populations; divide the network among processes"
                )
            found = cls(found.neurons, found.inputs, found.owners + max(1, threads), processes, rank)
        return found

    @property
    def total(self) -> int:
        """The number of neurons of all populations."""
        return sum(self.neurons)

    def first(self, population: int) -> int:
        """The number of a population's first neuron among all."""
        return sum(self.neurons[:population])

    def borders(self, population: int) -> list[int]:
        """Where the neurons of each owner of this process begin, and where those of the last end."""
        return self._borders(population, range(self.rank * self.owners, (self.rank + 1) * self.owners + 1))

    def _borders(self, population: int, owners: Iterable[int]) -> list[int]:
        """Where the neurons of owners begin, counted through all processes."""
        neurons, all_owners = self.neurons[population], self.owners * self.processes
        blocks = -(-neurons // BLOCK)
        # What does not divide goes to one of them after the other.
        spare = population % all_owners
        at = [(blocks * owner + spare * (owner < all_owners)) // all_owners for owner in owners]
        return [min(BLOCK * place, neurons) for place in at]

    def _padded(self, population: int, owner: int) -> int:
        begin, end = self.borders(population)[owner : owner + 2]
        return -(-(end - begin) // BLOCK) * BLOCK

    @property
    def widths(self) -> list[int]:
        """The number of accumulators of each owner."""
        return [
            sum(self._padded(k, owner) * count for k, count in enumerate(self.inputs)) for owner in range(self.owners)
        ]

    @property
    def widest(self) -> int:
        """The most accumulators that an owner of any process has."""
        widths = [0] * (self.owners * self.processes)
        for population, count in enumerate(self.inputs):
            borders = self._borders(population, range(len(widths) + 1))
            for owner, (begin, end) in enumerate(pairwise(borders)):
                widths[owner] += -(-(end - begin) // BLOCK) * BLOCK * count
        return max(widths)

    @property
    def most(self) -> int:
        """The most neurons that an owner of this process has."""
        borders = [self.borders(population) for population in range(len(self.neurons))]
        return max(sum(each[owner + 1] - each[owner] for each in borders) for owner in range(self.owners))

    def places(self, population: int, owner: int) -> list[int]:
        """Where the accumulators of each input of a population begin, among those of an owner."""
        before = sum(self._padded(k, owner) * count for k, count in enumerate(self.inputs[:population]))
        return [before + k * self._padded(population, owner) for k in range(self.inputs[population])]

    def where(self, population: int, receptor: int) -> Tensor:
        """The accumulator of each neuron: the owner in the upper 16 bits, or ``ELSEWHERE``, int32 [neurons]."""
        found = torch.full((self.neurons[population],), ELSEWHERE, dtype=torch.int32)
        for owner, (begin, end) in enumerate(pairwise(self.borders(population))):
            place = self.places(population, owner)[receptor]
            found[begin:end] = (owner << 16) + torch.arange(place, place + end - begin)
        return found

    def ranges(self, population: int) -> list[int]:
        """Of each owner the first neuron, the end and the places of the inputs, as the kernels take them."""
        borders, words = self.borders(population), []
        for owner in range(self.owners):
            words += [borders[owner], borders[owner + 1], *self.places(population, owner)]
        return words
