"""Populations with one step, side by side in arrays of a device."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...fused.plan.loops import ForwardPlan
from ...fused.stepper import WIDEST, Recorded
from ..drives import Poisson
from ..layout import Layout
from ..population import Population

_BINS = 16


@dataclass(frozen=True, eq=False)
class Group:
    """Populations whose cells take the same step with other numbers.

    Args:
        key: of the recorded step.
        plan: of the step.
        numbers: of the populations, in their order.
        places: where the neurons of each begin, and where those of the last end.
        first: their first accumulator; those of each input lie together, a place for each neuron.
    """

    key: str
    plan: ForwardPlan
    numbers: tuple[int, ...]
    places: tuple[int, ...]
    first: int

    @property
    def width(self) -> int:
        """Places of neurons, those included that fill a population up."""
        return self.places[-1]

    @property
    def end(self) -> int:
        """The accumulator behind the last."""
        return self.first + self.width * len(self.plan.graph.inputs)

    def place(self, population: int) -> int:
        """That of a population's first neuron."""
        return self.places[self.numbers.index(population)]

    def accumulator(self, population: int, receptor: int) -> int:
        """That of a population's first neuron for an input."""
        return self.first + receptor * self.width + self.place(population)

    def joined(self, arrays: Sequence[Tensor]) -> Tensor:
        """An array of each population, one behind the other, filled up with zeros."""
        whole = torch.zeros(self.width, dtype=arrays[0].dtype)
        for begin, array in zip(self.places, arrays, strict=False):
            array = array.detach().reshape(-1)[: self.width - begin]
            whole[begin : begin + len(array)] = array
        return whole

    def held(self, steps: Sequence[Recorded | None]) -> list[Tensor]:
        """What the step takes behind the states: of all neurons of a population, of each."""
        every = [steps[number].step().held for number in self.numbers]
        found = []
        for arrays in zip(*every, strict=True):
            alike = len(arrays[0]) < WIDEST
            found.append(torch.stack([x[0] for x in arrays]) if alike else self.joined(arrays))
        return found

    def blocks(self, layout: Layout, size: int) -> Tensor:
        """Of each block of so many neurons: population here, first of its neurons, how many, number of all, place."""
        words = []
        for n, number in enumerate(self.numbers):
            for local in range(0, layout.neurons[number], size):
                count = min(size, layout.neurons[number] - local)
                words.append((n, local, count, layout.first(number) + local, self.places[n] + local))
        return torch.tensor(words, dtype=torch.int32)


def groups_of(steps: Sequence[Recorded | None], layout: Layout) -> list[Group]:
    """All populations that have a step, those of one step together."""
    by_step: dict[str, list[int]] = {}
    for number, step in enumerate(steps):
        if step is not None:
            by_step.setdefault(step.found.key, []).append(number)
    found, first = [], 0
    for key, numbers in by_step.items():
        places = [0]
        for number in numbers:
            places.append(places[-1] - (-layout.neurons[number] // WIDEST) * WIDEST)
        group = Group(key, steps[numbers[0]].forward, tuple(numbers), tuple(places), first)
        first = group.end
        found.append(group)
    return found


def driven(
    group: Group,
    populations: Sequence[Population],
    streams: Sequence[Sequence[int]],
    dt: float,
    dtype: torch.dtype,
) -> list[Tensor]:
    """The tables of the drives of a group; see :func:`~torchdyn_neuro.networks.cuda.update.update_kernel`."""
    firsts, words, tables, currents = [0], [], [], [torch.zeros(1, dtype=dtype)]
    nothing = torch.zeros(_BINS, dtype=torch.int32), *[torch.zeros(_BINS, dtype=dtype)] * 2
    for number in group.numbers:
        population = populations[number]
        for drive, stream in zip(population.drives, streams[number], strict=True):
            target = population.place(drive.receptor)
            if isinstance(drive, Poisson):
                words.append((target, stream, drive.draws(dt), -1, 0))
                tables.append(drive.table(dt, dtype))
            else:
                value = drive.values(population.neurons, dtype).cpu()
                words.append((target, stream, 0, sum(map(len, currents)), int(len(value) > 1)))
                tables.append(nothing)
                currents.append(value)
        firsts.append(len(words))
    tables, words = tables or [nothing], words or [(0, 0, 0, -1, 0)]
    found = [torch.tensor(firsts, dtype=torch.int32), torch.tensor(words, dtype=torch.int64)]
    found += [torch.stack(part) for part in zip(*tables, strict=True)]
    return [*found, torch.cat(currents)]
