"""Curves of solutions followed by their length, so that they may turn back."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

Linearized = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Maps z [m + 1], the parameter last, to the residual [m] of the equations and their Jacobian [m, m + 1]."""


class CurvePoint(NamedTuple):
    """A point of a curve.

    z: the solution and, last, the parameter, [m + 1].
    tangent: direction of the curve there, of length 1 in the weights of the point.
    """

    z: Tensor
    tangent: Tensor


class Curve:
    r"""Follows the solutions of m equations in m + 1 variables (pseudo-arclength continuation).

    From a point, a step along the tangent :math:`t` is corrected by Newton's method at right angles to it,
    :math:`g(z) = 0,\ t \cdot (z - z_p) = 0`, which is regular where the curve turns back. Lengths are measured relative
    to 1 + \|z\|, and of the parameter relative to its range.

    Args:
        linearized: the equations.
        low, high: range of the parameter.
        longest: step at most.
        most: number of points at most.

    Source: Keller (1977), in Applications of Bifurcation Theory; Kuznetsov (2004), Elements of Applied Bifurcation
    Theory, ch. 10.2.
    """

    def __init__(self, linearized: Linearized, low: float, high: float, *, longest: float = 0.05, most: int = 2000):
        self.linearized = linearized
        self.low, self.high = low, high
        self.longest, self.most = longest, most
        self.ended = ""

    def weight(self, z: Tensor) -> Tensor:
        weight = 1 / (1 + z.abs())
        weight[-1] = 1 / (self.high - self.low)
        return weight

    def tangent(self, z: Tensor, before: Tensor) -> Tensor:
        """The direction of the curve at ``z``, on the side of ``before``."""
        return self._tangent_of(self.linearized(z)[1], z, before)

    def _tangent_of(self, slope: Tensor, z: Tensor, before: Tensor) -> Tensor:
        right = torch.zeros_like(z)
        right[-1] = 1
        matrix = torch.cat([slope, (self.weight(z) ** 2 * before)[None]])
        tangent = torch.linalg.solve_ex(matrix, right)[0]
        return tangent / torch.linalg.vector_norm(tangent * self.weight(z))

    def correct(self, guess: Tensor, row: Tensor, *, steps: int = 8) -> Tensor | None:
        """The point of the curve in the plane through ``guess`` at right angles to ``row``, if there is one."""
        z = guess
        for _ in range(steps):
            value, slope = self.linearized(z)
            right = torch.cat([value, (row @ (z - guess))[None]])
            change = torch.linalg.solve_ex(torch.cat([slope, row[None]]), right)[0]
            z = z - change
            size = (change.abs() * self.weight(z)).amax()
            if not size < 1e3:
                return None
            if size < 1e-10:
                return z
        return z if size < 1e-7 else None

    def advance(self, point: CurvePoint, step: float) -> CurvePoint | None:
        """The point a step further; ``None`` where the correction finds none."""
        row = self.weight(point.z) ** 2 * point.tangent
        z = self.correct(point.z + step * point.tangent, row)
        return None if z is None else CurvePoint(z, self.tangent(z, point.tangent))

    def at_parameter(self, z: Tensor, value: float) -> Tensor | None:
        """The point of the curve near ``z`` at a value of the parameter."""
        row = torch.zeros_like(z)
        row[-1] = 1
        guess = z.clone()
        guess[-1] = value
        return self.correct(guess, row)

    def walk(self, start: CurvePoint, first: float = 0.005) -> Iterator[tuple[CurvePoint, CurvePoint, float]]:
        """Each point, the next one and the step between, until the curve leaves the range or closes."""
        point, step, count, far = start, first, 0, False
        while True:
            if count >= self.most:
                self.ended = f"after {self.most} points"
                return
            following = self.advance(point, step)
            bend = 0.0 if following is None else self._cosine(point, following)
            if following is None or not bend > 0.95 or not torch.isfinite(following.tangent).all():
                step /= 2
                if step < 1e-7:
                    self.ended = "where the equations have no smooth solution"
                    return
                continue
            mu = following.z[-1].item()
            if not self.low <= mu <= self.high:
                edge = self.low if mu < self.low else self.high
                z = self.at_parameter(point.z + (following.z - point.z) * _part(point.z, following.z, edge), edge)
                if z is not None:
                    last = CurvePoint(z, self.tangent(z, point.tangent))
                    length = torch.linalg.vector_norm((z - point.z) * self.weight(z)).item()
                    if length > 1e-9:
                        yield point, last, length
                self.ended = f"at {edge:g}"
                return
            yield point, following, step
            count += 1
            apart = torch.linalg.vector_norm((following.z - start.z) * self.weight(start.z)).item()
            far = far or apart > 3 * self.longest
            if far and apart < self.longest and self._cosine(start, following) > 0.9:
                self.ended = "where it began"
                return
            point = following
            step = min(step * (1.5 if bend > 0.995 else 1.0), self.longest)

    def _cosine(self, one: CurvePoint, other: CurvePoint) -> float:
        weight = self.weight(one.z)
        a, b = one.tangent * weight, other.tangent * weight
        return (a @ b / (torch.linalg.vector_norm(a) * torch.linalg.vector_norm(b))).item()


def _part(start: Tensor, end: Tensor, edge: float) -> float:
    before, after = start[-1].item(), end[-1].item()
    return 0.0 if after == before else (edge - before) / (after - before)
