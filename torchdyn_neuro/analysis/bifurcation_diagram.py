"""All that the fixed points and the limit cycles of a system do along a parameter."""

from itertools import pairwise
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.state import State
from .along_branch import checked_range
from .as_field import as_field
from .cycles import CycleBranch, CycleTracer
from .diagram_gradient import with_derivatives
from .eigenvalues import sorted_eigenvalues
from .equilibria import Branch, Event, Tracer, Unresolved
from .field import At, Field, Parameter
from .fixed_points import fixed_point
from .special_points import BranchPoint, FoldPoint, HopfPoint

_NEAR = 1e-5


class BifurcationDiagram(NamedTuple):
    """Branches of fixed points and of limit cycles along a parameter, and the points where they begin, turn and cross.

    branches: of fixed points.
    cycles: branches of limit cycles, one for each Hopf point.
    folds: where branches turn back.
    hopf_points: where cycles begin.
    branch_points: where branches cross.
    unresolved: where the stability changes for another reason, such as a pair of eigenvalues that meets at zero.
    """

    branches: list[Branch]
    cycles: list[CycleBranch]
    folds: list[FoldPoint]
    hopf_points: list[HopfPoint]
    branch_points: list[BranchPoint]
    unresolved: list[Unresolved]

    @property
    def hysteresis(self) -> list[tuple[float, float]]:
        """The ranges of the parameter with two stable fixed points or more: which one is taken depends on the past."""
        events = [*self.folds, *self.hopf_points, *self.branch_points, *self.unresolved]
        marks = [event.parameter.item() for event in events]
        marks += [end.item() for branch in self.branches for end in branch.parameter[[0, -1]]]
        marks = sorted(set(marks))
        found: list[tuple[float, float]] = []
        for low, high in pairwise(marks):
            if high - low > 1e-9 * (1 + abs(low)) and self._stable_at((low + high) / 2) > 1:
                joined = bool(found) and found[-1][1] == low
                found = [*found[:-1], (found[-1][0], high)] if joined else [*found, (low, high)]
        return found

    def _stable_at(self, value: float) -> int:
        states: list[Tensor] = []
        for branch in self.branches:
            before, after = branch.parameter[:-1], branch.parameter[1:]
            inside = ((before - value) * (after - value) <= 0) & (before != after)
            for k in inside.nonzero().flatten().tolist():
                part = ((value - before[k]) / (after[k] - before[k])).item()
                state = branch.states[k] + part * (branch.states[k + 1] - branch.states[k])
                if branch.stable[k + round(part)] and not any(_close(state, other, 1e-3) for other in states):
                    states.append(state)
        return len(states)


def bifurcation_diagram(
    system: Any,
    parameter: Parameter,
    between: tuple[float, float],
    start: State,
    *,
    origin: float | None = None,
    cycles: bool = True,
    most: int = 2000,
    gradient: bool = False,
    **at: Unpack[At],
) -> BifurcationDiagram:
    r"""Follow the fixed points of a system along a parameter, both ways, and the limit cycles that begin on them.

    Branches are followed by their length, so that they may turn back (hysteresis); where another one crosses, it is
    followed too (but no line of fixed points at one value of the parameter). From each Hopf point the cycles are
    followed, stable or not, to the end of the range or of the branch. What no branch from the starts reaches is not
    found: give starts near it.

    With ``gradient`` all is differentiable with respect to the other parameters by the implicit function theorem:
    states and eigenvalues of branches, periods and extremes of cycles, each at its value of the parameter that is
    varied; parameter, state and frequency of the points where branches turn, begin and cross. What has no derivative
    (a fixed point where branches meet or turn, the cycle of no size in a Hopf point, what is unresolved), and all of it
    without ``gradient``, raises in ``backward``.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field; one system.
        parameter: what is varied: ``"input"``, the name of a quantity or a parameter; of a function the name or the
            place of an argument. ``(name, index)`` varies one entry.
        between: the range.
        start: states near fixed points at ``origin``, [n] or [S, n], or a state of the dynamics.
        origin: value of the parameter from which branches are followed both ways; ``between[0]`` if omitted.
        cycles: whether limit cycles are followed.
        most: points of a branch at most, in either direction.
        gradient: whether the results carry one; cycles then need memory for the equations of all their phases.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Raises:
        ValueError: if there is no range, or ``origin`` lies outside; if a start leads to no fixed point; for what is no
            smooth autonomous field.

    Source: Kuznetsov (2004), Elements of Applied Bifurcation Theory, ch. 10.

    Example:
        >>> unit = lambda r, I: -r + torch.sigmoid(8 * r + I)
        >>> diagram = bifurcation_diagram(unit, "I", (-7.0, -1.0), torch.zeros(1), parameters=(0.0,))
        >>> [f"{low:.3f} to {high:.3f}" for low, high in diagram.hysteresis]
        ['-5.066 to -2.934']
    """
    first, last = checked_range("bifurcation_diagram", between)
    low, high = min(first, last), max(first, last)
    origin = first if origin is None else float(origin)
    if not low <= origin <= high:
        raise ValueError(
            f"bifurcation_diagram: expected origin between {low:g} and {high:g}, got {origin:g}; pass one in the range"
        )
    field = as_field(system, **at)
    for end in (low, high):
        field.check_value(parameter, end)
    begun = field.with_value(parameter, origin)
    with torch.no_grad():
        states = fixed_point(as_field(begun, start), start)
        tracer = Tracer(field, parameter, low, high, most=most)
        branches, events = _followed(tracer, begun, states.reshape(-1, states.shape[-1]), origin)
        hopf_points = [event for event in events if isinstance(event, HopfPoint)]
        traced = _cycles(field, parameter, low, high, hopf_points) if cycles else []
    diagram = BifurcationDiagram(
        branches,
        traced,
        [event for event in events if isinstance(event, FoldPoint)],
        hopf_points,
        [event for event in events if isinstance(event, BranchPoint)],
        [event for event in events if isinstance(event, Unresolved)],
    )
    return with_derivatives(field, parameter, diagram, gradient)


def _followed(tracer: Tracer, begun: Field, states: Tensor, origin: float) -> tuple[list[Branch], list[Event]]:
    """The branches through states [S, n] at ``origin``, those that cross them, and what happens on them."""
    branches: list[Branch] = []
    events: list[Event] = []
    for state in states:
        if not _on_branch(begun, branches, state, origin):
            z = torch.cat([state, state.new_tensor([origin])])
            way = torch.zeros_like(z)
            way[-1] = 1
            _add(tracer, branches, events, z, way, False)
    crossings = [event for event in events if isinstance(event, BranchPoint)]
    followed: list[BranchPoint] = []
    while crossings:
        crossing = crossings.pop(0)
        if crossing.kind == "line of fixed points" or any(_same(crossing, other) for other in followed):
            continue
        followed.append(crossing)
        z = torch.cat([crossing.state, crossing.parameter.reshape(1)])
        more: list[Event] = []
        _add(tracer, branches, more, z, crossing.directions, True)
        crossings += [event for event in more if isinstance(event, BranchPoint)]
        events += more
    distinct: list[Event] = []
    for event in events:
        if not any(type(event) is type(other) and _same(event, other) for other in distinct):
            distinct.append(event)
    return branches, distinct


def _cycles(field: Field, parameter: Parameter, low: float, high: float, points: list[HopfPoint]) -> list[CycleBranch]:
    """The branches of cycles; one that connects two Hopf points once."""
    found: list[CycleBranch] = []
    for point in points:
        if not any(branch.ended == "in a Hopf point" and _ends_in(branch, point) for branch in found):
            found.append(CycleTracer(field, parameter, low, high).trace(point))
    return found


def _ends_in(branch: CycleBranch, point: HopfPoint) -> bool:
    width = (branch.parameter.amax() - branch.parameter.amin()).item()
    return abs((branch.parameter[-1] - point.parameter).item()) < 0.05 * width


def _add(tracer: Tracer, branches: list[Branch], events: list[Event], z: Tensor, way: Tensor, crossing: bool) -> None:
    """Follow a branch both ways from a point."""
    back = tracer.trace(z, -way, first=crossing)
    ahead = tracer.trace(z, way, first=crossing)
    events += [*back.events, *ahead.events]
    points = torch.stack([point.z for point in [*reversed(back.points), *ahead.points[1:]]])
    if len(points) < 2:
        return
    values = torch.stack([sorted_eigenvalues(tracer.linearized(point)[1][:, :-1]) for point in points])
    stable = (values.real < 0).all(-1)
    branches.append(Branch(points[:, -1], points[:, :-1], values, stable, (back.ended, ahead.ended)))


def _on_branch(field: Field, branches: list[Branch], state: Tensor, value: float) -> bool:
    """Whether a fixed point at a value of the parameter lies on a branch that is already known."""
    for branch in branches:
        before, after = branch.parameter[:-1], branch.parameter[1:]
        inside = (before - value) * (after - value) <= 0
        for k in inside.nonzero().flatten().tolist():
            for guess in (branch.states[k], branch.states[k + 1]):
                try:
                    if _close(fixed_point(field, guess), state):
                        return True
                except ValueError:
                    continue
    return False


def _close(one: Tensor, other: Tensor, share: float = _NEAR) -> bool:
    return bool(((one - other).abs() <= share * (1 + one.abs())).all())


def _same(one: Event, other: Event) -> bool:
    return _close(one.state, other.state) and _close(one.parameter, other.parameter)
