"""What turns any system into the field that is analysed."""

from typing import Any, Unpack

from ..core.dynamics import Dynamics
from ..core.state import State
from .checked_field import check_field
from .dynamics_field import DynamicsField
from .field import At, Field
from .plain_field import PlainField


def as_field(system: Any, state: State | None = None, **at: Unpack[At]) -> Field:
    """A system as a flat autonomous vector field; the state, if given, is where it is tried.

    Args:
        system: an :class:`ODE`, a :class:`Network` without a delay, a :class:`Chain` of such and of layers without time
            (each follows what the one in front puts out), a function ``f(state, *parameters)`` of states
            [..., n] that returns their rates of change per ms, or a field.
        state: a state [..., n] or that of the dynamics.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Raises:
        TypeError: if the system is none of these, or a function that depends on time.
        ValueError: if it is not smooth, not autonomous or random: a threshold, a delay, noise; if an input is missing;
            if, at the state, the field couples rows, differs from call to call, or has a gradient that is not its slope
            (a surrogate).

    Example:
        >>> import torch
        >>> field = as_field(lambda r, w: -r + torch.tanh(w * r), parameters=(2.0,))
        >>> field(torch.zeros(1, dtype=torch.float64))
        tensor([0.], dtype=torch.float64)
    """
    if isinstance(system, Field):
        if at:
            raise TypeError(
                f"{system.owner}: expected a system that is not yet a field, got a field and {', '.join(at)}; give "
                "them when the field is made"
            )
        field = system
    elif isinstance(system, Dynamics):
        field = DynamicsField(system, **at)
    else:
        field = PlainField(system, **at)
    if state is not None:
        check_field(field, field.flat(state))
    return field
