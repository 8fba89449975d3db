"""Lists of events: who spiked when."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core.state import register_state


@register_state
class Events(NamedTuple):
    """Spikes in the order of their times.

    time: ms, [K], ascending.
    unit: index of the neuron, [K].
    weight: size of each spike, [K]; 1 for plain spikes.
    """

    time: Tensor
    unit: Tensor
    weight: Tensor


def make_events(time: Tensor, unit: Tensor, weight: Tensor | None = None, *, units: int | None = None) -> Events:
    """A checked list of events.

    Args:
        time: times in ms, [K], ascending.
        unit: indices of neurons, [K].
        weight: sizes, [K]; ones if omitted.
        units: number of neurons, against which the indices are checked.

    Raises:
        ValueError: if the shapes differ, times are not finite or not sorted, or an index is out of range.
    """
    weight = torch.ones_like(time) if weight is None else weight
    if not (time.ndim == 1 and time.shape == unit.shape == weight.shape):
        raise ValueError(
            f"Events: expected time, unit and weight of one shape [K], got {tuple(time.shape)}, {tuple(unit.shape)} "
            f"and {tuple(weight.shape)}; give one entry per event"
        )
    if not torch.isfinite(time).all():
        raise ValueError("Events: expected finite times, got NaN or infinity; leave such events out")
    if (time[1:] < time[:-1]).any():
        late = (time[1:] < time[:-1]).nonzero()[0, 0].item() + 1
        raise ValueError(
            f"Events: expected times in ascending order, got {time[late]:g} ms after {time[late - 1]:g} ms at event "
            f"{late}; sort them: order = time.argsort(stable=True)"
        )
    if unit.numel() and (unit.min() < 0 or (units is not None and unit.max() >= units)):
        raise ValueError(
            f"Events: expected units from 0 to {units - 1 if units else 'N - 1'}, got {unit.min()} to {unit.max()}; "
            "check the number of neurons"
        )
    return Events(time, unit.long(), weight)


def events_from_grid(spikes: Tensor, dt: float = 1.0) -> Events:
    """The events of a dense sequence.

    Args:
        spikes: spikes, counts or weights, [T, N]; one of step t (from 0) is at (t + 1) dt, the end of that step.
        dt: time step, ms.

    Example:
        >>> events_from_grid(torch.tensor([[0.0, 1.0], [2.0, 0.0]]), dt=0.5).time
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    step, unit = spikes.nonzero(as_tuple=True)
    return Events((step + 1) * torch.tensor(dt, dtype=torch.float64), unit, spikes[step, unit])


def events_to_grid(events: Events, steps: int, units: int, dt: float = 1.0) -> Tensor:
    """The dense sequence [T, N] of events, the inverse of :func:`events_from_grid`.

    Args:
        events: spikes; each falls into the step at whose end, or before it, it arrives.
        steps: number of steps T.
        units: number of neurons N.
        dt: time step, ms.

    Raises:
        ValueError: if an event lies outside the steps.
    """
    step = torch.ceil(events.time / dt - 1e-9).long() - 1
    if step.numel() and (step.min() < 0 or step.max() >= steps):
        raise ValueError(
            f"Events: expected times in (0, {steps * dt:g}] ms, got {events.time.min():g} to {events.time.max():g} ms; "
            "give more steps"
        )
    grid = events.weight.new_zeros(steps, units)
    return grid.index_put((step, events.unit), events.weight, accumulate=True)
