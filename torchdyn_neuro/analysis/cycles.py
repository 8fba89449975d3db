"""A branch of limit cycles along a parameter, from the Hopf point where it begins."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .arclength import Curve, CurvePoint
from .cycle_equations import CycleEquations
from .directional import directional
from .field import Field, Parameter
from .floquet import multipliers
from .fourier import extremes, roughness, values_at
from .jacobian import jacobian_of
from .special_points import HopfPoint

_FEWEST, _MOST_UNKNOWNS, _ROUGHEST = 33, 800, 1e-6
_LONGEST_PERIOD = 30.0
_SAME = 10
"""So many cycles, each larger than the last, cannot by chance belong to one value of the parameter."""


class CycleBranch(NamedTuple):
    """Limit cycles along a parameter.

    parameter: value at each cycle, [m]; it may turn back.
    period: ms, [m].
    low: the smallest value of each variable, [m, n].
    high: the largest, [m, n].
    stable: whether each cycle attracts, [m].
    ended: why the branch ends.
    states: of each cycle at its equally spaced phases, [N, n]; of the first, which is a point, [1, n].
    """

    parameter: Tensor
    period: Tensor
    low: Tensor
    high: Tensor
    stable: Tensor
    ended: str
    states: list[Tensor]

    @property
    def amplitude(self) -> Tensor:
        """Half of the way from the smallest to the largest value of each variable, [m, n]."""
        return (self.high - self.low) / 2


class _CycleCurve(Curve):
    """Cycles weigh as much as their mean phase does."""

    phases = _FEWEST

    def weight(self, z: Tensor) -> Tensor:
        weight = super().weight(z)
        weight[:-2] /= math.sqrt(self.phases)
        return weight


class CycleTracer:
    """Traces the cycles of a field along a parameter within a range.

    Args:
        field: the field.
        parameter: what is varied.
        low, high: its range.
        most: cycles at most.
    """

    def __init__(self, field: Field, parameter: Parameter, low: float, high: float, most: int = 150):
        self.field, self.parameter = field, parameter
        self.along = field.along(parameter)
        self.curve = _CycleCurve(self.linearized, low, high, longest=0.1, most=most)
        self.equations: CycleEquations | None = None

    def linearized(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The equations of the cycle and their Jacobian, the parameter last."""
        equations = self.equations
        field = self.field.with_value(self.parameter, z[-1])
        residual, slope = equations.linearized(field, z[:-1])
        states = z[:-2].reshape(equations.count, equations.size)
        push = directional(lambda value: self.along(states, value), torch.ones_like(z[-1]))(z[-1])
        column = torch.cat([-push.flatten(), torch.zeros_like(z[:1])])
        return residual, torch.cat([slope, column[:, None]], 1)

    @torch.no_grad()
    def trace(self, hopf: HopfPoint) -> CycleBranch:
        """The branch that begins in a Hopf point."""
        start = self._begin(hopf)
        cycles: list[tuple[Tensor, Tensor, Tensor]] = []
        first_period, step = start.z[-2].item(), 0.01
        while True:
            ended, again = "", None
            for before, after, length in self.curve.walk(start, step):
                states = self._states(after.z)
                if self._turned_over(before.z, after.z) and cycles:
                    ended = "in a Hopf point"
                elif after.z[-2] > _LONGEST_PERIOD * first_period:
                    ended = "where its period grows without end"
                elif len(cycles) == _SAME and self._stands(cycles, hopf):
                    ended = "at one value of the parameter, with cycles of every size"
                elif roughness(states) > _ROUGHEST:
                    again = self._finer(before)
                    ended = "" if again is not None else "where it is too sharp to be followed"
                if ended or again is not None:
                    break
                step = length
                self.equations = CycleEquations(states)
                cycles.append((after.z[-1], after.z[-2], states))
                if len(cycles) >= self.curve.most:
                    ended = f"after {len(cycles)} cycles"
                    break
            else:
                ended = self.curve.ended
            if ended:
                return self._gathered(cycles, ended, hopf)
            start = again

    def _begin(self, hopf: HopfPoint) -> CurvePoint:
        state, value = hopf.state.detach(), hopf.parameter.detach()
        values, vectors = torch.linalg.eig(jacobian_of(self.field.with_value(self.parameter, value), state))
        omega = 2 * math.pi * hopf.frequency.detach() / 1000
        vector = vectors[:, int((values - 1j * omega).abs().argmin())]
        phases = torch.arange(_FEWEST, dtype=state.dtype, device=state.device) / _FEWEST
        angle = 2 * math.pi * phases[:, None]
        swing = vector.real * torch.cos(angle) - vector.imag * torch.sin(angle)
        self.curve.phases = _FEWEST
        self.equations = CycleEquations(state + swing)
        rest = torch.stack([2 * math.pi / omega, value])
        z = torch.cat([state.expand_as(swing).flatten(), rest])
        tangent = torch.cat([swing.flatten(), torch.zeros_like(rest)])
        return CurvePoint(z, tangent / torch.linalg.vector_norm(tangent * self.curve.weight(z)))

    def _states(self, z: Tensor) -> Tensor:
        return z[:-2].reshape(self.equations.count, self.equations.size)

    def _turned_over(self, before: Tensor, after: Tensor) -> bool:
        """Whether the cycle has shrunk to a point and grows again on the other side, half a period off."""
        one, other = (states - states.mean(0) for states in (self._states(before), self._states(after)))
        return bool((one * other).sum() < 0)

    def _stands(self, cycles: list[tuple[Tensor, Tensor, Tensor]], hopf: HopfPoint) -> bool:
        """Whether cycles of any size belong to the value of the parameter at which they begin."""
        width = self.curve.high - self.curve.low
        return all(abs((value - hopf.parameter).item()) < 1e-10 * width for value, _, _ in cycles)

    def _finer(self, point: CurvePoint) -> CurvePoint | None:
        """The same point with about twice as many phases."""
        count = 2 * self.equations.count - 1
        if count * self.equations.size > _MOST_UNKNOWNS:
            return None
        states, way = self._states(point.z), self._states(point.tangent)
        phases = torch.arange(count, dtype=states.dtype, device=states.device) / count
        reference = values_at(self.equations.reference, phases)
        self.equations, self.curve.phases = CycleEquations(reference), count
        z = torch.cat([values_at(states, phases).flatten(), point.z[-2:]])
        tangent = torch.cat([values_at(way, phases).flatten(), point.tangent[-2:]])
        corrected = self.curve.correct(z, self.curve.weight(z) ** 2 * tangent)
        z = z if corrected is None else corrected
        return CurvePoint(z, tangent / torch.linalg.vector_norm(tangent * self.curve.weight(z)))

    def _gathered(self, cycles: list[tuple[Tensor, Tensor, Tensor]], ended: str, hopf: HopfPoint) -> CycleBranch:
        values, periods = [hopf.parameter.detach()], [1000 / hopf.frequency.detach()]
        ranges, stable = [(hopf.state.detach(), hopf.state.detach())], [hopf.supercritical]
        for value, period, states in cycles:
            factors = multipliers(self.field.with_value(self.parameter, value), states, period)
            values.append(value)
            periods.append(period)
            ranges.append(extremes(states))
            stable.append(bool((factors[1:].abs() < 1 - 1e-9).all()))
        lows, highs = (torch.stack(side) for side in zip(*ranges, strict=True))
        found = [hopf.state.detach()[None], *(states for _, _, states in cycles)]
        stable = torch.tensor(stable, device=hopf.state.device)
        return CycleBranch(torch.stack(values), torch.stack(periods), lows, highs, stable, ended, found)
