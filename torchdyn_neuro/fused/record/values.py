"""What kinds of values attributes hold: what cannot change, and of what else all that it holds is seen."""

import types
from collections.abc import Callable
from enum import Enum
from typing import Any

import torch

_ATOMS = (float, int, bool, str, bytes, complex, types.NoneType, types.EllipsisType, torch.dtype, torch.device, slice)


def is_atom(value: Any) -> bool:
    """Whether a value is immutable, all through, and can be compared."""
    kind = type(value)
    if kind in _ATOMS or isinstance(value, Enum):
        return True
    return kind in (tuple, frozenset) and all(map(is_atom, value))


def is_plain_object(value: Any) -> bool:
    """Whether all that an object holds is in its dictionary."""
    kind = type(value)
    if type(getattr(value, "__dict__", None)) is not dict or kind.__new__ is not object.__new__:
        return False
    return not any(vars(base).get("__slots__") for base in kind.__mro__)


CONTAINERS: dict[type, Callable[[Any], tuple]] = {
    list: tuple,
    dict: lambda content: (*content, *content.values()),
    set: lambda content: tuple(sorted(content, key=repr)),
}
