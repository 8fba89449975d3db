"""A branch of fixed points along a parameter, and what happens on it."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from .arclength import Curve, CurvePoint
from .directional import directional
from .field import Field, Parameter
from .jacobian import rates_and_jacobian
from .special_points import BranchPoint, FoldPoint, HopfPoint, branch_near, fold_near, hopf_near

_LONGEST = 0.05


class Branch(NamedTuple):
    """Fixed points along a parameter.

    parameter: value at each point, [m]; it may turn back.
    states: [m, n].
    eigenvalues: per ms, [m, n], complex.
    stable: whether each point attracts, [m].
    ended: why the branch ends on either side.
    """

    parameter: Tensor
    states: Tensor
    eigenvalues: Tensor
    stable: Tensor
    ended: tuple[str, str]


class Unresolved(NamedTuple):
    """Where the stability changes for another reason than a single eigenvalue or pair that crosses.

    parameter: value of the parameter.
    state: [n].
    """

    parameter: Tensor
    state: Tensor


Event: TypeAlias = FoldPoint | HopfPoint | BranchPoint | Unresolved


class Traced(NamedTuple):
    """One way along a branch.

    points: all of them, from the start on.
    events: what was met, in order.
    ended: why it ends.
    """

    points: list[CurvePoint]
    events: list[Event]
    ended: str


class _Signs(NamedTuple):
    """What changes sign at the points that are looked for."""

    turn: bool
    crossing: bool
    unstable: int


class Tracer:
    """Traces branches of fixed points of a field along a parameter within a range.

    Args:
        field: the field.
        parameter: what is varied.
        low, high: its range.
        longest: step at most, relative to the size of the state and to the range.
        most: points at most in one direction.
    """

    def __init__(
        self,
        field: Field,
        parameter: Parameter,
        low: float,
        high: float,
        longest: float = _LONGEST,
        most: int = 2000,
    ):
        self.field, self.parameter = field, parameter
        self.along = field.along(parameter)
        self.curve = Curve(self.linearized, low, high, longest=longest, most=most)

    def linearized(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The rates at a point and their Jacobian, the parameter last."""
        state, value = z[:-1], z[-1]
        rates, slope = rates_and_jacobian(lambda x: self.along(x, value), state)
        column = directional(lambda value: self.along(state, value), torch.ones_like(value))(value)
        return rates, torch.cat([slope, column[:, None]], 1)

    @torch.no_grad()
    def trace(self, z: Tensor, way: Tensor, *, first: bool = False) -> Traced:
        """Follow the branch from a fixed point.

        Args:
            z: state and parameter.
            way: roughly where to.
            first: whether the start itself is a crossing of branches.
        """
        z = z.detach()
        tangent = way.detach() if first else self.curve.tangent(z, way.detach())
        start = CurvePoint(z, tangent / torch.linalg.vector_norm(tangent * self.curve.weight(z)))
        points, events, signs = [start], [], None if first else self._signs(start)
        for point, following, step in self.curve.walk(start):
            now = self._signs(following)
            if signs is not None and now != signs:
                events += self._events(point, following, step, signs, now)
            points.append(following)
            signs = now
        return Traced(points, events, self.curve.ended)

    def _signs(self, point: CurvePoint) -> _Signs:
        _, slope = self.linearized(point.z)
        weight = self.curve.weight(point.z)
        bordered = torch.cat([slope, (weight**2 * point.tangent)[None]])
        values = torch.linalg.eigvals(slope[:, :-1])
        crossing = bool(torch.linalg.slogdet(bordered)[0] > 0)
        return _Signs(bool(point.tangent[-1] > 0), crossing, int((values.real > 0).sum()))

    def _events(self, start: CurvePoint, end: CurvePoint, step: float, before: _Signs, after: _Signs) -> list[Event]:
        """What happens between two points, each in a step of its own."""
        changes = (before.turn != after.turn) + (before.crossing != after.crossing)
        gained = after.unstable - before.unstable
        if changes + abs(gained) // 2 > 1 and step > 1e-4:
            middle = self.curve.advance(start, step / 2)
            if middle is not None:
                signs = self._signs(middle)
                first = self._events(start, middle, step / 2, before, signs)
                return first + self._events(middle, end, step / 2, signs, after)
        found: list[Event] = []
        if before.turn != after.turn:
            near = self._bisect(start, step, lambda signs: signs.turn != before.turn)
            found.append(self._checked(fold_near(self.field, self.parameter, near.z[:-1], near.z[-1]), near, step))
        elif before.crossing != after.crossing:
            near = self._bisect(start, step, lambda signs: signs.crossing != before.crossing)
            crossing = branch_near(self.field, self.parameter, near.z[:-1], near.z[-1], near.tangent)
            found.append(self._checked(crossing, near, step))
        elif gained:
            near = self._bisect(start, step, lambda signs: signs.unstable != before.unstable)
            hopf = hopf_near(self.field, self.parameter, near.z[:-1], near.z[-1]) if gained % 2 == 0 else None
            found.append(self._checked(hopf, near, step))
        return found

    def _checked(self, event: Event | None, near: CurvePoint, step: float) -> Event:
        """The event if it lies where it was sought; otherwise an unresolved one."""
        if event is not None:
            z = torch.cat([event.state.detach(), event.parameter.detach().reshape(1)])
            if torch.linalg.vector_norm((z - near.z) * self.curve.weight(near.z)) < max(step, 1e-3):
                return event
        return Unresolved(near.z[-1], near.z[:-1])

    def _bisect(self, start: CurvePoint, step: float, passed: Callable[[_Signs], bool]) -> CurvePoint:
        """The point between two where something changes, to a thirtieth of the step."""
        low, high, near = 0.0, step, start
        for _ in range(5):
            middle = (low + high) / 2
            point = self.curve.advance(start, middle)
            if point is None:
                break
            near = point
            if passed(self._signs(point)):
                high = middle
            else:
                low = middle
        return near
