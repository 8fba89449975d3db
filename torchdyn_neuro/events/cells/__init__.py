"""Neurons between events: one file for each cell with a closed form."""

from torch import Tensor

from ...neurons.alpha_lif import AlphaLIF
from ...neurons.lif import LIF
from ...neurons.synaptic_lif import SynapticLIF
from ..restrict import evaluated
from .alpha_lif import EventAlphaLIF
from .base import EventCell, Neuron, reset_level
from .lif import EventLIF
from .synaptic_lif import EventSynapticLIF

_CELLS: dict[type[Neuron], type[EventCell]] = {
    AlphaLIF: EventAlphaLIF,
    LIF: EventLIF,
    SynapticLIF: EventSynapticLIF,
}


def check_neuron(module: Neuron) -> None:
    """Raise if a neuron cannot be run from event to event.

    Raises:
        TypeError: if its solution between events is not known in closed form.
        ValueError: if adaptation or noise is attached to it, for the same reason; or if it has no reset, or learning
            has moved the threshold below it, so that a spike would be followed by others at once, without end.
    """
    name = type(module).__name__
    if type(module) not in _CELLS:
        known = ", ".join(sorted(kind.__name__ for kind in _CELLS))
        raise TypeError(
            f"{name}: expected a neuron with a closed form between events ({known}), got one without; "
            "run it on the clock with scan()"
        )
    if module.adaptation is not None or module.noise is not None:
        raise ValueError(
            f"{name}: expected a neuron without adaptation and noise, to be exact between events, "
            "got one with; run it on the clock with scan()"
        )
    if module.reset == "none":
        raise ValueError(
            f"{name}: expected a reset, got reset='none', with which every moment above the threshold would spike; "
            "choose another, or run it on the clock with scan()"
        )
    if not (module.v_th() > reset_level(module)).all():
        raise ValueError(
            f"{name}: expected v_th above the potential after a spike, got v_th = {module.v_th().min().item():g} with "
            f"reset={module.reset!r} to {reset_level(module).max().item():g}; raise v_th or choose another reset"
        )


def event_cell(module: Neuron, current: Tensor) -> EventCell:
    """The event-driven form of a checked neuron, its quantities as they are now.

    Args:
        module: the neuron.
        current: a constant current, one value or one for each neuron.
    """
    return _CELLS[type(module)](evaluated(module), current)
