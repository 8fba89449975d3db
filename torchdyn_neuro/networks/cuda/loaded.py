"""All that a run of a network on a device begins with, but its synapses."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.state import State, leaves
from ...fused.stepper import Recorded
from ..layout import Layout
from ..population import Population
from ..spike_source import SpikeSource
from .groups import Group, driven, groups_of

FEW, MANY = (32, 1), (128, 4)
"""Neurons of a block and its warps, for few neurons and for many."""
_FEW_NEURONS = 1 << 15


@dataclass(frozen=True, eq=False)
class Loaded:
    """On the CPU.

    Args:
        groups: of populations with one step.
        cells: the states to start from.
        block, warps: how many neurons a program takes, and its threads over 32.
        blocks, drives, states, fixed: of each group the table of its blocks, those of its drives, its states, and what
            else its step takes.
        given: the step and the number of each spike that is given, in order; none if there are no such populations.
        fields: that are watched: the group and the field in it.
        places: of the neurons that are watched, of each field.
    """

    groups: list[Group]
    cells: tuple[State, ...]
    block: int
    warps: int
    blocks: list[Tensor]
    drives: list[list[Tensor]]
    states: list[list[Tensor]]
    fixed: list[list[Tensor]]
    given: list[Tensor]
    fields: list[tuple[int, int]]
    places: list[Tensor]

    @property
    def tensors(self) -> list[Tensor]:
        """All of them."""
        found = [*self.blocks, *self.given, *self.places]
        return found + [tensor for parts in (self.drives, self.states, self.fixed) for part in parts for tensor in part]

    @property
    def kind(self) -> tuple:
        """Equal for those that are run by the same kernels in the same memory."""
        groups = tuple((group.key, group.numbers, group.places, group.first) for group in self.groups)
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in self.tensors)
        return groups, self.block, tuple(self.fields), shapes


def load(
    layout: Layout,
    populations: Sequence[Population | SpikeSource],
    steps: Sequence[Recorded | None],
    streams: Sequence[Sequence[int]],
    cells: Sequence[State],
    watched: Sequence[tuple[int, int, Tensor]],
    dt: float,
    dtype: torch.dtype,
    *,
    on_card: bool,
) -> Loaded:
    """Lay out the populations; the arguments are those of :class:`~torchdyn_neuro.networks.engine.Engine`.

    Args:
        steps: the recorded step of each, none of given spikes.
        on_card: whether blocks are those of a card.
    """
    groups = groups_of(steps, layout)
    block, warps = FEW if on_card and layout.total < _FEW_NEURONS else MANY
    fields, places = [], []
    for number, leaf, neurons in watched:
        place = next(k for k, group in enumerate(groups) if number in group.numbers)
        fields.append((place, leaf))
        places.append((neurons.cpu() + groups[place].place(number)).to(torch.int32))
    return Loaded(
        groups,
        tuple(cells),
        block,
        warps,
        [group.blocks(layout, block) for group in groups],
        [driven(group, populations, streams, dt, dtype) for group in groups],
        [[group.joined(field) for field in _fields(group, cells)] for group in groups],
        [group.held(steps) for group in groups],
        _given(layout, populations, dt),
        fields,
        places,
    )


def _fields(group: Group, cells: Sequence[State]) -> list[tuple[Tensor, ...]]:
    return list(zip(*(leaves(cells[number]) for number in group.numbers), strict=True))


def _given(layout: Layout, populations: Sequence[Population | SpikeSource], dt: float) -> list[Tensor]:
    lists = [
        population.on_grid(dt).cpu() + torch.tensor([0, layout.first(number)], dtype=torch.int32)
        for number, population in enumerate(populations)
        if population.cell is None
    ]
    if not lists:
        return []
    every = torch.cat(lists)
    steps, order = every[:, 0].to(torch.int64).sort(stable=True)
    return [steps, every[order, 1].contiguous()]
