"""What a population is: neurons of one kind that differ, as many as a layer is wide."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch

from ..core.checks import positive_number
from ..core.dynamics import Dynamics
from ..core.quantities import Learned
from ..core.surrogate import Surrogate
from ..surrogates import Damped

Range = tuple[float, float]
"""Two numbers, the lower one first."""


class Population(ABC):
    """Base of the populations: makes the neurons of a layer, each with values of its own, drawn within ranges.

    It stands in the place of a neuron wherever a layer or a model copies one, for a neuron alone does not know how many
    of them there will be.

    Args:
        surrogate: slope of the spike; ``Damped()`` if omitted, for these neurons are mostly recurrent.
        dt: time step, ms.

    Raises:
        ValueError: if a range is empty or ``dt`` not positive.
    """

    gain: ClassVar[float] = 3.0
    """What the norm in front multiplies its currents by at the start, so that the neurons fire."""

    def __init__(self, *, surrogate: Surrogate | None = None, dt: float = 1.0):
        self.surrogate = Damped() if surrogate is None else surrogate
        self.dt = positive_number(type(self).__name__, "dt", dt, unit="ms")

    @abstractmethod
    def __call__(self, *shape: int) -> Dynamics:
        """The neurons for a frame [B, \\*shape], with values drawn by torch's generator."""

    def read_range(self, name: str, given: Range, *, zero: bool = False) -> Range:
        """Two numbers with the lower one first, both above 0 (or 0 itself)."""
        owner = type(self).__name__
        numbers = list(given) if isinstance(given, (tuple, list)) else []
        if len(numbers) != 2:
            raise ValueError(f"{owner}: expected {name} to be two numbers, got {given!r}; pass e.g. (10.0, 60.0)")
        low, high = (positive_number(owner, name, number, zero=zero) for number in numbers)
        if not low < high:
            raise ValueError(f"{owner}: expected {name} to be a range, got {given!r}; put the lower number first")
        return low, high


def drawn(shape: Sequence[int], within: Range) -> torch.Tensor:
    """Uniform numbers strictly within a range."""
    low, high = within
    return low + (high - low) * torch.empty(tuple(shape)).uniform_(1e-3, 1 - 1e-3)


def learned_within(shape: Sequence[int], within: Range) -> Learned:
    """The same, as the start of learning that stays within the range."""
    low, high = within
    return Learned(drawn(shape, within), low=low, high=high)
