"""How fast neighbouring trajectories part."""

import math
from collections.abc import Callable
from typing import Any, Unpack

import torch
from torch import Tensor

from ..core.checks import one_of, positive_number, whole_number
from ..core.dynamics import Dynamics
from ..core.state import State
from .as_field import as_field
from .dynamics_field import DynamicsField
from .field import At, Field
from .jacobian import rates_and_jacobian
from .refused_gradient import refused


def lyapunov_spectrum(
    system: Any,
    start: State,
    *,
    kind: str = "flow",
    duration: float = 1000.0,
    settle: float = 200.0,
    dt: float = 0.1,
    count: int | None = None,
    gradient: bool = False,
    **at: Unpack[At],
) -> Tensor:
    r"""The Lyapunov exponents: the mean rates at which small deviations grow along a trajectory, largest first.

    .. math:: \lambda_k = \lim_{t \to \infty} \frac{1}{t} \ln |r_{kk}(t)|

    where :math:`r_{kk}` are the diagonals of the QR decompositions by which deviations are kept at right angles. A
    largest exponent above 0 is chaos, of 0 a cycle (or a torus), below 0 a fixed point. Rows of a batch are averaged by
    the caller: many short trajectories are quicker than a long one.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field; with ``kind="map"`` a function that returns
            the next state.
        start: [..., n], or a state of the dynamics.
        kind: ``"flow"``, solved by RK4, or ``"map"``.
        duration: over which is averaged, ms; iterations of a map.
        settle: run before, ms, for the trajectory to reach the attractor and the deviations their directions;
            iterations of a map.
        dt: step of RK4, ms; 1 of a map.
        count: how many exponents; all if omitted.
        gradient: whether the exponents carry one, through every step: time and memory grow with the number of steps.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Returns:
        [..., count], per ms; per iteration of a map. With ``gradient`` they are differentiable with respect to the
        parameters and the start, as long as deviations grow by less than half of the digits: in chaos the derivative
        of a long trajectory says nothing of the exponent. A gradient that is not there raises in ``backward``.

    Raises:
        ValueError: if the trajectory runs away or reaches the threshold of a cell, ``count`` is larger than n, a time
            is none, or dynamics or half an iteration are given as a map; for what is no smooth autonomous field; from
            ``backward``, without ``gradient`` or in chaos.

    Source: Benettin et al. (1980), Meccanica 15:9; Shimada & Nagashima (1979), Prog. Theor. Phys. 61:1605.

    Example:
        >>> lyapunov_spectrum(lambda x: -0.5 * x, torch.ones(1), duration=50.0, settle=0.0)
        tensor([-0.5000], dtype=torch.float64)
    """
    owner = "lyapunov_spectrum"
    flow = one_of(owner, "kind", kind, "flow", "map") == "flow"
    dt = positive_number(owner, "dt", dt, unit="ms") if flow else 1.0
    duration = positive_number(owner, "duration", duration, unit="ms")
    settle = positive_number(owner, "settle", settle, zero=True, unit="ms")
    equation, whole = isinstance(system, (Dynamics, DynamicsField)), all(map(float.is_integer, (settle, duration)))
    if not flow and (equation or not whole):
        got = type(system).__name__ if equation else f"{settle:g} and {duration:g} iterations"
        raise ValueError(
            f"{owner}: expected for kind='map' a function that returns the next state and whole numbers of iterations, "
            f"got {got}; pass kind='flow' for a differential equation"
        )
    field = as_field(system, start, **at)
    x = field.in_rows(start)
    size = x.shape[-1]
    count = size if count is None else whole_number(owner, "count", count, 1)
    if count > size:
        raise ValueError(f"{owner}: expected at most {size} exponents of as many variables, got {count}; pass fewer")
    before, counted = round(settle / dt), round(duration / dt)
    if counted < 1:
        raise ValueError(
            f"{owner}: expected a duration of a step of {dt:g} ms at least, got {duration:g}; pass a longer one"
        )
    advance = _runge_kutta(field, dt) if flow else field
    with torch.set_grad_enabled(torch.is_grad_enabled() and gradient):
        found = _averaged(field, advance, x, count, (before, counted), dt)
    return _refusing(field, x, found, (before + counted) * dt, gradient)


def _refusing(field: Field, x: Tensor, found: Tensor, time: float, gradient: bool) -> Tensor:
    """The exponents, which raise where they are asked for a gradient that they have not."""
    if not gradient:
        anchor = field(x).sum() if torch.is_grad_enabled() else x
        return refused(
            found,
            anchor,
            f"{field.owner}: expected exponents with a gradient, got some without, which would keep every step; pass "
            "gradient=True, or call detach()",
        )
    # Deviations that have grown so much have taken half of the digits of the derivative.
    wild = found.detach().amax(-1, keepdim=True) * time > -0.5 * math.log(torch.finfo(x.dtype).eps)
    return refused(
        found,
        found,
        f"{field.owner}: expected a gradient of exponents where chaos leaves one, got deviations that grow more than "
        "1e7 times (1e3 in float32) along the trajectory; pass a shorter duration and settle, and many starts",
        wild,
    )


def _averaged(
    field: Field, advance: Callable[[Tensor], Tensor], x: Tensor, count: int, steps: tuple[int, int], dt: float
) -> Tensor:
    """The exponents from so many steps, the first of which do not count."""
    before, counted = steps
    axes = _first_axes(x, count)
    total = torch.zeros(*x.shape[:-1], count, dtype=x.dtype, device=x.device)
    for step in range(before + counted):
        x, matrix = rates_and_jacobian(advance, x)
        axes, growth = torch.linalg.qr(matrix @ axes)
        if step >= before:
            total = total + growth.diagonal(dim1=-2, dim2=-1).abs().log()
        if step % 256 == 0 or step == before + counted - 1:
            _check(field, x, (step + 1) * dt)
    return (total / (counted * dt)).sort(dim=-1, descending=True).values


def _check(field: Field, x: Tensor, time: float) -> None:
    if not bool(torch.isfinite(x).all()):
        raise ValueError(
            f"{field.owner}: expected a trajectory that stays, got one that has run away by {time:g}; pass another "
            "start or a smaller dt"
        )
    if not bool(field.allowed(x).all()):
        raise ValueError(
            f"{field.owner}: expected a trajectory below the threshold, got one that has crossed it by {time:g} ms; "
            "the jumps of spikes are not followed: drive it lower"
        )


def _runge_kutta(field: Field, dt: float) -> Callable[[Tensor], Tensor]:
    def step(x: Tensor) -> Tensor:
        a = field(x)
        b = field(x + dt / 2 * a)
        c = field(x + dt / 2 * b)
        d = field(x + dt * c)
        return x + dt / 6 * (a + 2 * b + 2 * c + d)

    return step


def _first_axes(x: Tensor, count: int) -> Tensor:
    """Directions at right angles that are not those of the variables, for each row of x [..., n]."""
    size = x.shape[-1]
    places = torch.arange(1, size * count + 1, dtype=x.dtype, device=x.device).reshape(size, count)
    axes = torch.linalg.qr(torch.eye(size, count, dtype=x.dtype, device=x.device) + torch.cos(1.7 * places**2))[0]
    return axes.expand(*x.shape[:-1], size, count)
