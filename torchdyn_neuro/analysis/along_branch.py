"""The first point of a kind on the branch of fixed points that leaves one end of a range."""

from typing import Any, TypeVar

import torch

from ..core.checks import whole_number
from ..core.state import State
from ..core.transforms import active_transform
from .as_field import as_field
from .equilibria import Event, Tracer
from .field import At, Field, Parameter
from .fixed_points import fixed_point
from .special_points import BranchPoint, FoldPoint, HopfPoint, branch_near, fold_near, hopf_near

Kind = TypeVar("Kind", bound=Event)

_NAMES = {FoldPoint: "fold", HopfPoint: "Hopf point", BranchPoint: "branch point"}


def find_point(
    kind: type[Kind],
    system: Any,
    parameter: Parameter,
    between: tuple[float, float],
    start: State,
    number: int,
    at: At,
) -> Kind:
    """The ``number``-th point of one kind on the branch from ``between[0]`` towards ``between[1]``."""
    owner = _NAMES[kind].lower().replace(" ", "_").replace("fold", "fold_point")
    number = whole_number(owner, "number", number, 1)
    first, last = checked_range(owner, between)
    field = as_field(system, **at)
    for end in (first, last):
        field.check_value(parameter, end)
    begun = field.with_value(parameter, first)
    with torch.no_grad():
        state = fixed_point(as_field(begun, start), start)
    if state.ndim > 1:
        state = state.reshape(-1, state.shape[-1])
        if len(state) != 1:
            raise ValueError(
                f"{field.owner}: expected one system and one start, got {len(state)} rows; search for each by itself"
            )
        state = state[0]
    tracer = Tracer(field, parameter, min(first, last), max(first, last))
    with torch.no_grad():
        way = torch.zeros(len(state) + 1, dtype=state.dtype, device=state.device)
        way[-1] = last - first
        traced = tracer.trace(torch.cat([state, state.new_tensor([first])]), way)
    found = [event for event in traced.events if isinstance(event, kind)]
    if len(found) < number:
        raise ValueError(_absent(kind, field, tracer, traced, first, last, len(found)))
    return with_gradient(field, parameter, found[number - 1])


def checked_range(owner: str, between: tuple[float, float]) -> tuple[float, float]:
    """The two ends of a range of a parameter."""
    try:
        first, last = (float(end) for end in between)
    except (TypeError, ValueError):
        first = last = 0.0
    if not abs(last - first) > 0 or not abs(last - first) < float("inf"):
        raise ValueError(f"{owner}: expected a range of the parameter, got {between!r}; pass between=(from, to)")
    return first, last


def _absent(kind: type, field: Field, tracer: Tracer, traced: Any, first: float, last: float, found: int) -> str:
    seen = [
        f"{_NAMES.get(type(event), 'unresolved change')} at {event.parameter.item():.6g}" for event in traced.events
    ]
    ends = []
    for point in (traced.points[0], traced.points[-1]):
        values = torch.linalg.eigvals(tracer.linearized(point.z)[1][:, :-1])
        ends.append(f"{values.real.max().item():.4g} at {point.z[-1].item():.6g}")
    name = _NAMES[kind]
    count = f"only {found} of them" if found else "none"
    return (
        f"{field.owner}: expected a {name} between {first:g} and {last:g}, got {count} on the branch from the start, "
        f"which ends {traced.ended} (largest real part of an eigenvalue {ends[0]}, {ends[1]} per ms; on the way: "
        f"{', '.join(seen) or 'nothing'}); widen the range, or start on another branch"
    )


def with_gradient(field: Field, parameter: Parameter, event: Any) -> Any:
    """The point once more, with its derivative with respect to the other parameters."""
    state, value = event.state.detach(), event.parameter.detach()
    if not field.with_value(parameter, value)(state).requires_grad and active_transform() is None:
        return event
    if isinstance(event, FoldPoint):
        return fold_near(field, parameter, state, value)
    if isinstance(event, HopfPoint):
        return hopf_near(field, parameter, state, value)
    return branch_near(field, parameter, state, value, torch.cat([torch.zeros_like(state), torch.ones_like(state[:1])]))
