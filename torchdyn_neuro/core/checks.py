"""Checks of plain arguments, with messages that say what was expected, what came and how to mend it."""

import math
import sys
import warnings
from pathlib import Path
from typing import Any, TypeVar

Choice = TypeVar("Choice", bound=str)


def one_of(owner: str, name: str, value: Choice, *choices: str) -> Choice:
    """``value`` if it is one of ``choices``; ``ValueError`` naming ``owner.name`` otherwise.

    Example:
        >>> one_of("LIF", "reset", "zero", "zero", "value")
        'zero'
    """
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{owner}: expected {name} to be one of {listed}, got {value!r}; choose one of them")
    return value


def positive_number(owner: str, name: str, value: float, *, zero: bool = False, unit: str = "") -> float:
    """``value`` as a float if it is finite and above zero (or zero, if ``zero``); ``ValueError`` otherwise.

    Example:
        >>> positive_number("LIF", "dt", 1, unit="ms")
        1.0
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{owner}: expected {name} to be a number, got {type(value).__name__}; pass a float")
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        bound = "at least 0" if zero else "above 0"
        raise ValueError(
            f"{owner}: expected {name} {bound}{' ' + unit if unit else ''}, got {value}; pass such a number"
        )
    return float(value)


def fraction(owner: str, name: str, value: float, *, of: str) -> float:
    """``value`` as a float if it is from 0 to 1; ``ValueError`` saying of what it is a share otherwise.

    Example:
        >>> fraction("EventLinear", "most_active", 1, of="the inputs")
        1.0
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{owner}: expected {name} from 0 to 1, got {value!r}; it is a share of {of}")
    return float(value)


def whole_number(owner: str, name: str, value: Any, least: int) -> int:
    """``value`` if it is an integer from ``least`` on.

    Raises:
        TypeError: if it is no integer.
        ValueError: if it is too small.

    Example:
        >>> whole_number("spike_times", "most_spikes", 3, 1)
        3
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{owner}: expected {name} to be an integer, got {value!r}; pass one from {least} on")
    number = value.__index__()
    if number < least:
        raise ValueError(f"{owner}: expected {name} to be at least {least}, got {number}; pass a larger one")
    return number


def is_whole(steps: float) -> bool:
    """Whether a time that lasts so many steps is a whole number of them, but for rounding.

    Example:
        >>> is_whole(0.3 / 0.1), is_whole(2.5)
        (True, False)
    """
    return abs(steps - round(steps)) <= 1e-6 * max(1.0, steps)


def warn(message: str) -> None:
    """Warn at the line of the user's code that led here, however deep the package is at work."""
    package = str(Path(__file__).parents[1])
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
