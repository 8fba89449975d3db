"""Event-driven simulation: exact between events, with work proportional to spikes instead of steps."""

from .event_list import Events, events_from_grid, events_to_grid, make_events
from .filters import filter_events
from .network import EventNetwork, EventNetworkState
from .sparse_propagation import propagate_events
from .spike_times import spike_times

__all__ = [
    "EventNetwork",
    "EventNetworkState",
    "Events",
    "events_from_grid",
    "events_to_grid",
    "filter_events",
    "make_events",
    "propagate_events",
    "spike_times",
]
