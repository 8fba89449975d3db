"""A first look at a cycle: run the equation until it comes back."""

from itertools import pairwise

import torch
from torch import Tensor

from .field import Field
from .trajectory import Step, steps

_PHASES = 65
_LONGER = 6
_ERRORS = (1e-7, 1e-10)
_REST = 1e-6
"""A swing as small as that may come from the errors of steps."""


def recurring_orbit(field: Field, x: Tensor, settle: float) -> tuple[Tensor, Tensor]:
    """States at equally spaced phases [N, n] from one return to the next, and the time between, ms.

    Args:
        field: the field.
        x: start, [n].
        settle: run before, and looked at at first, ms; up to 64 times as long if it does not come back.

    Raises:
        ValueError: if the system comes to rest or does not come back.
    """
    for step in steps(field, x, [settle], *_ERRORS):
        x = step.state
    passed, window = settle, settle
    for _ in range(_LONGER):
        path = [Step(0.0, x, field(x)), *steps(field, x, [window], *_ERRORS)]
        passed, x = passed + window, path[-1].state
        half = next(k for k, step in enumerate(path) if step.time >= window / 2)
        swings = [_swing(part) for part in (path[:half], path[half:])]
        if not swings[1].amax() > _REST:
            raise ValueError(
                f"{field.owner}: expected a limit cycle, got a system at rest after {passed:g} ms, at "
                f"{[round(value, 4) for value in x.tolist()[:6]]}; vary the parameter (see hopf_point), or pass "
                "another start"
            )
        # What still falls by so much is on its way to something smaller.
        if swings[1].amax() > 0.9 * swings[0].amax():
            found = _last_return(path, swings[1])
            if found is not None:
                return found
        window *= 2
    raise ValueError(
        f"{field.owner}: expected a system that comes back to where it was, got none within {passed:g} ms: "
        "the cycle is longer, or there is none (see lyapunov_spectrum); pass a longer settle"
    )


def _swing(path: list[Step]) -> Tensor:
    """How far each variable moves, relative to 1 + its size."""
    states = torch.stack([step.state for step in path])
    return (states.amax(0) - states.amin(0)) / (1 + states.abs().amax(0))


def _last_return(path: list[Step], swing: Tensor) -> tuple[Tensor, Tensor] | None:
    which = int(swing.argmax())
    stacked = torch.stack([step.state for step in path])
    level = (stacked[:, which].amax() + stacked[:, which].amin()) / 2
    crossings = [
        _crossing(before, after, which, level)
        for before, after in pairwise(path)
        if before.state[which] < level <= after.state[which]
    ]
    if len(crossings) < 2:
        return None
    end, last = crossings[-1]
    width = (stacked.amax(0) - stacked.amin(0)).clamp(min=1e-300)
    for begin, state in reversed(crossings[:-1]):
        if ((state - last).abs() / width).amax() < 0.05:
            return _sampled(path, begin, end)
    return None


def _between(before: Step, after: Step, part: float) -> Tensor:
    """The cubic with the values and the rates of both ends."""
    length = after.time - before.time
    rise = after.state - before.state
    bend = length * before.rates - rise
    other = rise - length * after.rates
    return before.state + part * (rise + (1 - part) * (bend * (1 - part) + other * part))


def _crossing(before: Step, after: Step, which: int, level: Tensor) -> tuple[float, Tensor]:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if _between(before, after, middle)[which] < level:
            low = middle
        else:
            high = middle
    return before.time + high * (after.time - before.time), _between(before, after, high)


def _sampled(path: list[Step], begin: float, end: float) -> tuple[Tensor, Tensor]:
    times = torch.tensor([step.time for step in path], dtype=torch.float64)
    moments = begin + (end - begin) * torch.arange(_PHASES, dtype=torch.float64) / _PHASES
    places = (torch.searchsorted(times, moments, right=True) - 1).clamp(0, len(path) - 2).tolist()
    sampled = []
    for place, moment in zip(places, moments.tolist(), strict=True):
        before, after = path[place], path[place + 1]
        sampled.append(_between(before, after, (moment - before.time) / (after.time - before.time)))
    return torch.stack(sampled), sampled[0].new_tensor(end - begin)
