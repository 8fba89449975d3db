"""Solutions of a field over time, by steps of controlled error."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from ..core.state import State
from .as_field import as_field
from .field import At, Field

_NODES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
_MOST_STEPS = 1_000_000


class Step(NamedTuple):
    """The end of a step.

    time: ms.
    state: [..., n].
    rates: of change there, per ms, [..., n].
    """

    time: float
    state: Tensor
    rates: Tensor


def trajectory(
    system: Any, start: State, times: Any, *, rtol: float = 1e-8, atol: float = 1e-10, **at: Unpack[At]
) -> Tensor:
    """The solution of the equation from a start, whatever step the dynamics would take themselves.

    Args:
        system: dynamics, a function ``f(state, *parameters)`` or a field.
        start: [..., n], or a state of the dynamics, at time 0; the steps of all rows are those of the fastest.
        times: rising, ms, [T]; 0 gives the start.
        rtol, atol: error of a step, relative to the state and absolute.
        at: ``input``, ``parameters``, ``between_spikes``, ``dtype``, see :class:`At`.

    Returns:
        [T, ..., n], differentiable with respect to start and parameters through all steps.

    Raises:
        ValueError: if times fall or are negative; if the solution reaches the threshold of a cell, runs away, or needs
            too many steps; for what is no smooth autonomous field.

    Source: Dormand & Prince (1980), J. Comput. Appl. Math. 6:19; Hairer, Norsett & Wanner (1993), ch. II.4 and II.5.

    Example:
        >>> trajectory(lambda x: -x, torch.ones(1), [0.0, 1.0]).flatten()
        tensor([1.0000, 0.3679], dtype=torch.float64)
    """
    field = as_field(system, start, **at)
    moments = [float(time) for time in times]
    if not moments or moments[0] < 0 or any(b <= a for a, b in pairwise(moments)):
        raise ValueError(
            f"{field.owner}: expected rising times from 0 on, got {moments[:4]}; pass e.g. torch.arange(0, 100, 0.5)"
        )
    x = field.in_rows(start)
    states = [x] if moments[0] == 0 else []
    for step in steps(field, x, [time for time in moments if time > 0], rtol, atol):
        if step.time in moments[len(states) : len(states) + 1]:
            states.append(step.state)
    return torch.stack(states)


def steps(field: Field, x: Tensor, times: list[float], rtol: float = 1e-8, atol: float = 1e-10) -> Iterator[Step]:
    """The steps of the solution from ``x``, all that are taken; they end at each of the times, and at the last one."""
    if not times:
        return
    now, rates, following = 0.0, field(x), 0
    size = _first_step(x.detach(), rates.detach(), rtol, atol)
    for _ in range(_MOST_STEPS):
        end = times[following]
        hits = now + size >= end * (1 - 1e-12)
        length = end - now if hits else size
        stages, tried = [rates], x
        for row in _NODES:
            tried = x + length * sum(weight * stage for weight, stage in zip(row, stages, strict=True) if weight)
            stages.append(field(tried))
        miss = length * sum(weight * stage for weight, stage in zip(_ERROR, stages, strict=True) if weight)
        allowed = atol + rtol * torch.maximum(x.abs(), tried.abs())
        error = (miss / allowed).detach().square().mean(-1).amax().sqrt().item()
        if not error < float("inf"):
            error = 1e10
        if error <= 1:
            now, x, rates = (end if hits else now + length), tried, stages[-1]
            _check(field, x, now)
            yield Step(now, x, rates)
            if hits:
                following += 1
                if following == len(times):
                    return
        # A step that only had to meet a time says nothing about how long the next one may be.
        grown = length * min(5.0, max(0.2, 0.9 * (error + 1e-12) ** -0.2))
        size = max(size, grown) if hits and error <= 1 else grown
        if size < 1e-13 * max(1.0, now):
            raise ValueError(
                f"{field.owner}: expected a solution over {times[-1]:g} ms, got one that runs away or jumps at "
                f"{now:g} ms; pass another start, or a field that is smooth there"
            )
    raise ValueError(
        f"{field.owner}: expected at most {_MOST_STEPS} steps, got more before {now:g} of {times[-1]:g} ms; pass a "
        "larger rtol, or a shorter time (the equation is stiff)"
    )


def _check(field: Field, x: Tensor, now: float) -> None:
    if not bool(field.allowed(x.detach()).all()):
        raise ValueError(
            f"{field.owner}: expected a solution below the threshold, got one that reaches it at {now:g} ms, where the "
            "cell spikes; run the dynamics themselves, or start or drive it lower"
        )


def _first_step(x: Tensor, rates: Tensor, rtol: float, atol: float) -> float:
    allowed = atol + rtol * x.abs()
    size, speed = (x / allowed).abs().amax().item(), (rates / allowed).abs().amax().item()
    return 0.01 * size / speed if size > 1e-5 and speed > 1e-5 else 1e-6
