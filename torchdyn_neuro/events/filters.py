"""Synapses and short-term plasticity from event to event: the closed form over the true gap."""

import torch
from torch import Tensor

from ..core.checks import positive_number, whole_number
from ..core.dynamics import Dynamics
from ..core.stand_in import stand_in
from ..core.state import State, map_state
from ..plasticity.tsodyks_markram import TsodyksMarkram
from ..synapses.alpha import AlphaSynapse
from ..synapses.double_exponential import DoubleExponentialSynapse
from ..synapses.exponential import ExponentialSynapse
from .arguments import take_state
from .cells.base import SAME_TIME
from .event_list import Events, make_events, within
from .restrict import evaluated, restricted

_EXACT_OVER_ANY_GAP = (AlphaSynapse, DoubleExponentialSynapse, ExponentialSynapse, TsodyksMarkram)
"""Modules whose step decays over dt, whatever its length, and then takes the arrival."""


def filter_events(
    module: Dynamics, events: Events, units: int, duration: float, state: State = None
) -> tuple[Tensor, State]:
    """Run a synapse, a trace or short-term plasticity over a list of events; the work grows with their number.

    The step of the module is taken once per event, with the time since the last event of that unit in the place of
    ``dt``. So the result is that of the clock for events on its grid, and exact for all others. The first events of all
    units are taken together, then all the second ones, and so on. Gradients reach the weights, the times, the state and
    the parameters. Several threads may use one module at once.

    Args:
        module: ``ExponentialSynapse`` (also a trace), ``AlphaSynapse``, ``DoubleExponentialSynapse`` (all with
            ``output="end"``) or ``TsodyksMarkram``.
        events: spikes of the units, up to ``duration``; one of weight 0 reads the output without changing anything.
        units: number of units.
        duration: end of the run, ms.
        state: the state at time 0, [1, units], as it was handed back; the initial one if omitted.

    Returns:
        The output at each event, [K], as the module gives it in a step with that arrival; and the state at the end,
        [1, units].

    Raises:
        TypeError: if the module is none of these.
        ValueError: if the module puts out the mean over a step, if the events are not sorted or lie outside the run,
            if a weight is not finite, if a parameter or the state does not fit the units, if ``duration`` is negative,
            or if short-term plasticity is given counts below 0 or too large.

    Source: Rotter & Diesmann (1999), Biol. Cybern. 81:381; Brette et al. (2007), J. Comput. Neurosci. 23:349.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> spikes = make_events(torch.tensor([1.0, 6.0]), torch.tensor([0, 0]))
        >>> filter_events(tdn.ExponentialSynapse(tau=5.0), spikes, units=1, duration=6.0)[0]
        tensor([1.0000, 1.3679])
    """
    duration = positive_number("filter_events", "duration", duration, zero=True, unit="ms")
    units = whole_number("filter_events", "units", units, 1)
    events = make_events(*events, units=units)
    _check(module, events, units, duration)
    start = module.initial_state(events.weight.new_zeros(1, units))
    state = start if state is None else take_state("filter_events", start, state)
    counts = events.unit.bincount(minlength=units)
    busiest = counts.argsort(descending=True, stable=True)
    by_unit = events.unit.argsort(stable=True)
    first = (counts.cumsum(0) - counts)[busiest]  # where the events of each unit begin in by_unit
    with_more = (units - counts.bincount().cumsum(0)).tolist()  # units with more events than 0, 1, 2, ...

    running, now = map_state(lambda leaf: leaf[0, busiest], state), events.time.new_zeros(units)
    done: list[tuple[State, Tensor]] = []
    places, outputs = [by_unit[:0]], [events.weight[:0]]
    everyone = restricted(evaluated(module), busiest)
    for rank, active in enumerate(with_more[:-1]):
        # The busiest units come first, so those that have had their last event are at the end.
        done.append((_part(running, slice(active, None)), now[active:]))
        running, now = _part(running, slice(active)), now[:active]
        place = by_unit[first[:active] + rank]
        part = restricted(everyone, slice(active))
        y, running = _step_over(part, events.weight[place], running, events.time[place] - now)
        now = events.time[place]
        places.append(place)
        outputs.append(y)
    ends = [(running, now), *reversed(done)]
    running = map_state(lambda *parts: torch.cat(parts), *(part for part, _ in ends))
    gap = (duration - torch.cat([last for _, last in ends])).clamp(min=0)
    _, running = _step_over(everyone, torch.zeros_like(gap, dtype=events.weight.dtype), running, gap)
    original = busiest.argsort()
    return torch.cat(outputs)[torch.cat(places).argsort()], map_state(lambda leaf: leaf[original][None], running)


def _step_over(module: Dynamics, arrival: Tensor, state: State, gap: Tensor) -> tuple[Tensor, State]:
    """One step of the module, over a gap for each unit."""
    over_gap = stand_in(module, {})
    vars(over_gap)["dt"] = gap.to(arrival.dtype)  # past the check: one for each unit
    return over_gap.step(arrival, state)


def _part(state: State, units: slice) -> State:
    return map_state(lambda leaf: leaf[units], state)


def _check(module: Dynamics, events: Events, units: int, duration: float) -> None:
    if not isinstance(module, _EXACT_OVER_ANY_GAP):
        known = ", ".join(kind.__name__ for kind in _EXACT_OVER_ANY_GAP)
        raise TypeError(
            f"filter_events: expected a module with a closed form between events ({known}), got "
            f"{type(module).__name__}; run it on the clock with scan()"
        )
    if getattr(module, "output", "end") != "end":
        raise ValueError(
            f'filter_events: expected {type(module).__name__}(output="end"), got output={module.output!r}, a mean over '
            'steps of the clock; build it with output="end", or run it on the clock with scan()'
        )
    within("filter_events", events, duration, SAME_TIME)
    module.check_quantities(events.weight.new_zeros(1, 1, units))
    if isinstance(module, TsodyksMarkram) and events.weight.numel():
        module.check_counts(events.weight)
