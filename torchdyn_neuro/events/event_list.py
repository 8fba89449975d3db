"""Lists of events: who spiked when."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core.checks import positive_number, whole_number
from ..core.state import register_state
from .arguments import as_tensor, finite, has_precision


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


def make_events(time: Any, unit: Any, weight: Any = None, *, units: int | None = None) -> Events:
    """A checked list of events, from tensors, arrays or lists.

    Args:
        time: times in ms, [K], ascending; float64 if they come as numbers or integers.
        unit: indices of neurons, [K].
        weight: sizes, [K]; ones if omitted.
        units: number of neurons, against which the indices are checked.

    Raises:
        ValueError: if the shapes differ, times or weights are not finite, times are not sorted, or an index is not
            whole or out of range.
        TypeError: if one of them is not of numbers.
    """
    plain = None if has_precision(time) else torch.get_default_dtype()
    time = as_tensor("Events", "time", time, torch.float64)
    weight = torch.ones_like(time, dtype=plain) if weight is None else as_tensor("Events", "weight", weight)
    unit = _whole(unit)
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
    finite("Events", "weight", weight)
    if unit.numel() and (unit.min() < 0 or (units is not None and unit.max() >= units)):
        raise ValueError(
            f"Events: expected units from 0 to {units - 1 if units else 'N - 1'}, got {unit.min()} to {unit.max()}; "
            "check the number of neurons"
        )
    return Events(time, unit, weight)


def _whole(unit: Any) -> Tensor:
    given = torch.as_tensor(unit) if isinstance(unit, Tensor) or hasattr(unit, "dtype") else None
    if given is not None and given.dtype == torch.bool:
        raise TypeError("Events: expected units to be indices, got a mask; pass mask.nonzero() or event indices")
    if given is not None and not given.is_floating_point() and not given.is_complex():
        return given.long()
    numbers = as_tensor("Events", "unit", unit)
    if (numbers != numbers.floor()).any():  # true for NaN
        wrong = numbers[numbers != numbers.floor()][0].item()
        raise ValueError(f"Events: expected whole numbers as units, got {wrong:g}; pass indices of neurons")
    return numbers.long()


def events_from_grid(spikes: Any, dt: float = 1.0) -> Events:
    """The events of a dense sequence.

    Args:
        spikes: spikes, counts or weights, [T, N]; one of step t (from 0) is at (t + 1) dt, the end of that step.
        dt: time step, ms.

    Raises:
        ValueError: if the sequence is not [T, N] or holds NaN or infinity, or ``dt`` is not positive.

    Example:
        >>> events_from_grid(torch.tensor([[0.0, 1.0], [2.0, 0.0]]), dt=0.5).time
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    dt = positive_number("Events", "dt", dt, unit="ms")
    spikes = as_tensor("Events", "spikes", spikes)
    if spikes.ndim != 2:
        raise ValueError(
            f"Events: expected spikes [T, N], got shape {tuple(spikes.shape)}; choose one row of the batch: "
            "spikes[:, 0]"
        )
    finite("Events", "spikes", spikes)
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
        ValueError: if an event lies outside the steps or the neurons, or ``dt`` is not positive.
    """
    dt = positive_number("Events", "dt", dt, unit="ms")
    steps, units = whole_number("Events", "steps", steps, 1), whole_number("Events", "units", units, 1)
    events = make_events(*events, units=units)
    step = torch.ceil(events.time / dt - 1e-9).long() - 1
    if step.numel() and (step.min() < 0 or step.max() >= steps):
        raise ValueError(
            f"Events: expected times in (0, {steps * dt:g}] ms, got {events.time.min():g} to {events.time.max():g} ms; "
            "give more steps"
        )
    grid = events.weight.new_zeros(steps, units)
    return grid.index_put((step, events.unit), events.weight, accumulate=True)


def within(owner: str, events: Events, duration: float, tolerance: float) -> None:
    """Raise ``ValueError`` if an event lies before 0 or after ``duration``, by more than ``tolerance`` ms."""
    time = events.time
    if time.numel() and (time[0] < 0 or time[-1] > duration + tolerance):
        raise ValueError(
            f"{owner}: expected times from 0 to {duration:g} ms, got {time[0]:g} to {time[-1]:g} ms; leave the others "
            "out, or run for longer"
        )
