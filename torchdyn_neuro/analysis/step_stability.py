"""Whether a step of an integrator does what the equation does."""

import math
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor
from torch.func import vjp

from ..core.checks import positive_number
from ..core.integrator import Integrator
from ..core.state import State
from .as_field import as_field
from .checked_field import check_at_rest
from .eigenvalues import sorted_eigenvalues
from .field import At, Field
from .jacobian import jacobian_of

_SMALL = 1e-9
_ROUNDING = 1e-13


class StepStability(NamedTuple):
    """The step of an integrator beside the equation that it solves, near a fixed point.

    verdict: ``"faithful"``; ``"unstable step"``: deviations grow that do not grow in the equation; ``"hidden
        instability"``: they die out though they grow in the equation; ``"false oscillation"``: they change sides from
        step to step, or turn, though no eigenvalue of the equation does.
    step: factors by which deviations grow in a step of the integrator, complex, [n].
    equation: the same of the equation, :math:`e^{\\lambda dt}`.
    longest: the longest step up to which the integrator is stable there, ms; ``inf`` if it is at 4096 times the given
        one, NaN where the equation itself is not stable.
    """

    verdict: str
    step: Tensor
    equation: Tensor
    longest: float


def step_stability(
    system: Any,
    state: State,
    *,
    integrator: Integrator | None = None,
    dt: float | None = None,
    **at: Unpack[At],
) -> StepStability:
    r"""Compare the eigenvalues of a step with those of the flow, :math:`e^{\lambda\, dt}`, at a fixed point.

    Explicit Euler, for example, multiplies deviations by :math:`1 + \lambda\, dt`: beyond
    :math:`dt = -2\, \mathrm{Re} \lambda / |\lambda|^2` it creates an oscillation that the equation has not.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field.
        state: a fixed point [n], or a state of the dynamics.
        integrator: a method; that of the dynamics if omitted.
        dt: ms; that of the dynamics if omitted.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Returns:
        The verdict; the factors are differentiable where no eigenvectors coincide.

    Raises:
        ValueError: if a function is given without integrator and step; if the state is no fixed point; if the
            integrator needs what the equation lacks; for what is no smooth autonomous field.

    Source: Hairer & Wanner (1996), Solving Ordinary Differential Equations II, ch. IV.2.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> found = step_stability(lambda x: -x, torch.zeros(1), integrator=tdn.Euler(), dt=2.5)
        >>> found.verdict, round(found.longest, 6)
        ('unstable step', 2.0)
    """
    dt = None if dt is None else positive_number("step_stability", "dt", dt, unit="ms")
    field = as_field(system, state, **at)
    x = field.in_rows(state)
    x = x.reshape(-1, x.shape[-1])
    rates = field(x)
    if len(x) != 1:
        raise ValueError(f"{field.owner}: expected one fixed point, got {len(x)} rows; pass each by itself")
    slope = jacobian_of(field, x)[0]
    check_at_rest(field, x, rates, slope)
    length = dt if dt is not None else getattr(getattr(field, "module", None), "dt", None)
    rate = sorted_eigenvalues(slope)
    step = _factors(field, x, integrator, length)
    equation = torch.exp(rate * length)
    grows = bool((equation.abs() > 1 + _SMALL).any())
    grows_in_step = bool((step.abs() > 1 + _SMALL).any())
    turns = bool((rate.imag.abs() > _SMALL * rate.abs().amax()).any())
    turns_in_step = bool(((step.imag.abs() > 1e-7) | (step.real < -1e-7)).any())
    if grows_in_step and not grows:
        verdict = "unstable step"
    elif grows and not grows_in_step:
        verdict = "hidden instability"
    elif turns_in_step and not turns:
        verdict = "false oscillation"
    else:
        verdict = "faithful"
    longest = math.nan if not bool((rate.real < 0).all()) else _longest(field, x, integrator, length)
    return StepStability(verdict, step, equation, longest)


def _factors(field: Field, x: Tensor, integrator: Integrator | None, dt: float | None) -> Tensor:
    """The eigenvalues of the Jacobian of a step."""
    copies = x[0].expand(x.shape[-1], x.shape[-1])
    with torch.enable_grad():
        _, pull = vjp(lambda state: field.stepped(state, integrator, dt), copies)
    (rows,) = pull(torch.eye(x.shape[-1], dtype=x.dtype, device=x.device))
    values = torch.linalg.eigvals(rows)
    return values[values.abs().argsort(descending=True)]


def _longest(field: Field, x: Tensor, integrator: Integrator | None, dt: float) -> float:
    def stable(length: float) -> bool:
        return bool((_factors(field, x, integrator, length).abs() <= 1 + _ROUNDING).all())

    low = dt / 4096
    if not stable(low):
        return 0.0
    high = low
    while stable(high):
        low, high = high, high * 1.25
        if high > 4096 * dt:
            return math.inf
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if stable(middle) else (low, middle)
    return low
