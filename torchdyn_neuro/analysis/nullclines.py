"""Where one variable of two stands still."""

from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.checks import whole_number
from ..core.state import State
from .as_field import as_field
from .directional import directional
from .field import At, Field
from .refused_gradient import drawn

Axis = tuple[str | int, float, float]
"""A component of the state, by name or place, and its range."""


class Nullclines(NamedTuple):
    """The curves on which one of two variables stands still.

    x: the curves of the first variable, each [m, 2], its points one after the other.
    y: those of the second.
    """

    x: list[Tensor]
    y: list[Tensor]


def nullclines(
    system: Any,
    *,
    x: Axis,
    y: Axis,
    others: State | None = None,
    points: int = 200,
    **at: Unpack[At],
) -> Nullclines:
    r"""The nullclines :math:`\dot x = 0` and :math:`\dot y = 0` of two variables in a plane.

    They are found on a grid and then moved onto the curve itself by Newton's method, and carry no gradient.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field.
        x, y: the two variables, by name (of dynamics) or place, and their ranges: ``("v", -80.0, -40.0)``.
        others: a state [n] whose other variables are held; of dynamics the initial state if omitted, of a function
            needed where there are more than two variables.
        points: of the grid in each direction.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Raises:
        ValueError: if there is no such variable, or a range is empty; for what is no smooth autonomous field.

    Source: Strogatz (2015), Nonlinear Dynamics and Chaos, ch. 6.1.

    Example:
        >>> found = nullclines(lambda s: torch.stack([s[..., 1], -s[..., 0]], -1), x=(0, -1.0, 1.0), y=(1, -1.0, 1.0))
        >>> found.x[0][:, 1].abs().max() < 1e-12
        tensor(True)
    """
    plane = Plane(as_field(system, **at), x, y, others, whole_number("nullclines", "points", points, 2))
    with torch.no_grad():
        found = plane.nullclines(plane.rates())
    return Nullclines(*([drawn(plane.field, plane.base, line) for line in lines] for lines in found))


class Plane:
    """A plane through the space of states, along two of its variables.

    Args:
        field: the field.
        x, y: the variables and their ranges.
        others: a state [n] in the plane; see :func:`nullclines`.
        points: of the grid in each direction.
    """

    def __init__(self, field: Field, x: Axis, y: Axis, others: State | None, points: int):
        base = self._held(field, others)
        self.field = field
        self.places = tuple(field.component(axis[0], len(base)) for axis in (x, y))
        if self.places[0] == self.places[1]:
            raise ValueError(f"{field.owner}: expected two different variables, got {x[0]!r} twice; pass another one")
        for axis in (x, y):
            if not axis[2] > axis[1]:
                raise ValueError(
                    f"{field.owner}: expected a rising range of {axis[0]!r}, got {axis[1:]}; swap its ends"
                )
        self.base = base
        self.across, self.along = (
            torch.linspace(axis[1], axis[2], points, dtype=base.dtype, device=base.device) for axis in (x, y)
        )

    def _held(self, field: Field, others: State | None) -> Tensor:
        if others is not None:
            flat = field.flat(others)
            return flat.reshape(-1, flat.shape[-1])[0]
        template = getattr(field, "template", None)
        if template is not None:
            return field.flat(template)[0]
        base = torch.zeros(2, dtype=field.dtype, device=field.device)
        try:
            field(base)
        except (IndexError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{field.owner}: expected a function of two variables, got one that fails on them ({error}); pass a "
                "whole state as others=, which holds the rest"
            ) from error
        return base

    def states(self, points: Tensor) -> Tensor:
        """The states [..., n] at points [..., 2] of the plane."""
        states = self.base.expand(*points.shape[:-1], len(self.base)).clone()
        states[..., self.places[0]], states[..., self.places[1]] = points[..., 0], points[..., 1]
        return states

    def rates(self) -> Tensor:
        """The rates of change of both variables on the grid, [points of y, points of x, 2]."""
        grid = torch.stack(torch.meshgrid(self.across, self.along, indexing="xy"), -1)
        return self.rates_at(grid)

    def rates_at(self, points: Tensor) -> Tensor:
        """The rates of change of both variables at points [..., 2] of the plane."""
        rates = self.field(self.states(points.reshape(-1, 2)))
        return rates[:, list(self.places)].reshape(points.shape)

    def nullclines(self, rates: Tensor) -> Nullclines:
        """The curves of both variables, from the rates on the grid."""
        return Nullclines(*(self._curves(rates[..., which], which) for which in (0, 1)))

    def _curves(self, rates: Tensor, which: int) -> list[Tensor]:
        from contourpy import contour_generator

        if not torch.isfinite(rates).all():
            rates = torch.nan_to_num(rates, nan=torch.nan, posinf=1e300, neginf=-1e300)
        lines = contour_generator(self.across.cpu().numpy(), self.along.cpu().numpy(), rates.cpu().numpy()).lines(0.0)
        return [self._polished(torch.as_tensor(line).to(rates), which) for line in lines if len(line) > 1]

    def _polished(self, line: Tensor, which: int) -> Tensor:
        """Points near a curve, moved onto it at right angles, as far as that is less than a cell of the grid."""
        cell = torch.stack([self.across[1] - self.across[0], self.along[1] - self.along[0]])

        def rate(scaled: Tensor) -> Tensor:
            return self.rates_at(scaled * cell)[:, which]

        begun = line / cell
        moved = begun
        for _ in range(4):
            value = rate(moved)
            slope = torch.stack([directional(rate, way.expand_as(moved))(moved) for way in torch.eye(2).to(moved)], -1)
            moved = moved - (value / slope.square().sum(-1).clamp(min=1e-300)).unsqueeze(-1) * slope
        near = ((moved - begun).abs() <= 1).all(-1, keepdim=True)
        return torch.where(near, moved, begun) * cell
