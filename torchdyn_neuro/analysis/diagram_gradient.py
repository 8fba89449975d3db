"""The points of a bifurcation diagram as functions of all other parameters."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..core.transforms import active_transform
from .along_branch import with_gradient
from .cycle_equations import regular_cycle
from .cycles import CycleBranch
from .eigenvalues import sorted_eigenvalues
from .equilibria import Branch
from .field import Field, Parameter
from .fourier import extremes
from .implicit import implicit
from .jacobian import jacobian_of, rates_and_jacobian
from .refused_gradient import refused

_SINGULAR = 1e-7
"""The smallest singular value below which, relative to the largest of a branch, a Jacobian has no inverse."""


def with_derivatives(field: Field, parameter: Parameter, diagram: Any, gradient: bool) -> Any:
    """A diagram whose points follow the other parameters, or refuse to be asked how.

    Args:
        field: the field.
        parameter: what is varied.
        diagram: found without a gradient.
        gradient: whether it gets one.
    """
    if not torch.is_grad_enabled() or not diagram.branches:
        return diagram
    first = diagram.branches[0]
    anchor = field.with_value(parameter, first.parameter[0])(first.states[0]).sum()
    if gradient and (anchor.requires_grad or active_transform() is not None):
        diagram = diagram._replace(
            branches=[regular_branch(field, parameter, branch) for branch in diagram.branches],
            cycles=[regular_cycles(field, parameter, branch) for branch in diagram.cycles],
            folds=[with_gradient(field, parameter, event) for event in diagram.folds],
            hopf_points=[with_gradient(field, parameter, event) for event in diagram.hopf_points],
            branch_points=[with_gradient(field, parameter, event) for event in diagram.branch_points],
        )
        message = "a gradient of points that are resolved, got one of an unresolved change; leave it out"
        kept = ("unresolved",)
    else:
        message = "gradient=True for a diagram with a gradient, got none; pass it, or call detach()"
        kept = diagram._fields
    message = f"{field.owner}: expected {message}"
    return diagram._replace(
        **{name: [_refusing(each, anchor, message) for each in getattr(diagram, name)] for name in kept}
    )


def _refusing(part: NamedTuple, anchor: Tensor, message: str) -> NamedTuple:
    """A part of a diagram whose numbers, but for the values of the parameter along a branch, refuse a gradient."""
    held = ("parameter",) if isinstance(part, (Branch, CycleBranch)) else ()
    changed = {}
    for name, value in part._asdict().items():
        if name in held or isinstance(value, str):
            continue
        if isinstance(value, list):
            changed[name] = [refused(each, anchor, message) for each in value]
        elif isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex()):
            changed[name] = refused(value, anchor, message)
    return part._replace(**changed)


def regular_branch(field: Field, parameter: Parameter, branch: Branch) -> Branch:
    """A branch whose states and eigenvalues follow the other parameters, each at its value of this one."""
    points = list(zip(branch.states, branch.parameter, strict=True))
    with torch.no_grad():
        sizes = [torch.linalg.svdvals(jacobian_of(field.with_value(parameter, value), x)) for x, value in points]
        singular = torch.stack([size[-1] for size in sizes]) <= _SINGULAR * torch.stack(sizes).amax()
    states, values = [], []
    for (state, value), flat in zip(points, singular.tolist(), strict=True):
        at = field.with_value(parameter, value)
        x = state if flat else implicit(lambda z, at=at: rates_and_jacobian(at, z), state)
        states.append(x)
        values.append(sorted_eigenvalues(jacobian_of(at, x)))
    without = singular[:, None]
    message = (
        f"{field.owner}: expected a gradient of fixed points away from bifurcations, got one where branches meet or "
        "turn, at which a fixed point has no derivative; leave that point out, or take that of the fold or crossing"
    )
    found, given = torch.stack(states), torch.stack(values)
    return branch._replace(
        states=refused(found, found, message, without), eigenvalues=refused(given, given, message, without)
    )


def regular_cycles(field: Field, parameter: Parameter, branch: CycleBranch) -> CycleBranch:
    """A branch of cycles whose periods and extremes follow the other parameters, each at its value of this one."""
    states, periods = [branch.states[0]], [branch.period[0]]
    ranges = [(branch.low[0], branch.high[0])]
    for value, given, period in list(zip(branch.parameter, branch.states, branch.period, strict=True))[1:]:
        cycle, length = regular_cycle(field.with_value(parameter, value), given, period)
        states.append(cycle)
        periods.append(length)
        ranges.append(extremes(cycle))
    lows, highs = (torch.stack(side) for side in zip(*ranges, strict=True))
    message = (
        f"{field.owner}: expected a gradient of cycles beyond the Hopf point where they begin, got one in it, where "
        "the amplitude grows with an infinite slope; leave the first of them out, or take that of the Hopf point"
    )
    without = torch.arange(len(periods), device=lows.device) == 0
    period, low, high = (
        refused(value, value, message, mask)
        for value, mask in (
            (torch.stack(periods), without),
            (lows, without[:, None]),
            (highs, without[:, None]),
        )
    )
    states[0] = refused(states[0], lows, message)
    return branch._replace(period=period, low=low, high=high, states=states)
