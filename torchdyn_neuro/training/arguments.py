"""Whether the values of a configuration are of the types that a class is annotated with."""

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from torch import Tensor, nn

PLAIN = (bool, int, float, str)

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

SURE = ("torchdyn_neuro", "torch.nn", "torch.optim")
"""Packages whose annotations name every type that their classes take."""


class Misfit(NamedTuple):
    """An argument that is not of the type that its class expects, and that type in words."""

    name: str
    expected: str


def takes_any(kind: Callable) -> bool:
    """Whether a class takes arguments of any name."""
    return any(each.kind is inspect.Parameter.VAR_KEYWORD for each in inspect.signature(kind).parameters.values())


def names_taken(kind: type) -> set[str] | None:
    """The names of the arguments that a class takes, or hands on to its bases; ``None`` if any name will do.

    Example:
        >>> from torch import nn
        >>> class Wide(nn.Linear):
        ...     def __init__(self, gain: float, **options): ...
        >>> sorted(names_taken(Wide) - names_taken(nn.Linear))
        ['gain']
    """
    if not takes_any(kind):
        return set(inspect.signature(kind).parameters)
    names: set[str] = set()
    for base in kind.__mro__[:-1]:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        names |= {each.name for each in parameters if each.kind in NAMED} - {"self"}
        if not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
            return names
    return None


def misfits(kind: type, arguments: Mapping[str, Any]) -> Iterator[Misfit]:
    """The arguments that do not fit their annotations; what is not annotated, or in a way not known here, fits.

    Example:
        >>> from torch import nn
        >>> class Layer(nn.Module):
        ...     def __init__(self, width: int, rate: float | None = None): ...
        >>> list(misfits(Layer, {"width": "wide", "rate": 1}))
        [Misfit(name='width', expected='int')]
    """
    hints, defaults = _hints(kind), inspect.signature(kind).parameters
    for name, value in arguments.items():
        default = defaults[name].default if name in defaults else inspect.Parameter.empty
        if value is None and default is None:
            continue
        if name in hints and not fits(value, hints[name]):
            yield Misfit(name, readable(hints[name]))


def _hints(kind: type) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(kind.__init__)
    except (NameError, TypeError, AttributeError):
        return {}
    for each in inspect.signature(kind).parameters.values():
        if each.kind is inspect.Parameter.VAR_KEYWORD:
            # **options: Unpack[Options], a typed dictionary.
            options = typing.get_args(hints.pop(each.name, None))
            if options and typing.is_typeddict(options[0]):
                hints = typing.get_type_hints(options[0]) | hints
    return hints


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; a list is as good as a tuple, and an integer as good as a float.

    Example:
        >>> fits([1, 2], tuple[int, ...]), fits(3, float), fits(True, int), fits("a", int | None)
        (True, True, False, False)
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, typing.TypeAliasType) if hasattr(typing, "TypeAliasType") else False:
        return fits(value, hint.__value__)
    if hint is None or hint is types.NoneType:
        return value is None
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, each) for each in inner)
    if origin is typing.Literal:
        return value in inner
    if origin is typing.Annotated:
        return fits(value, inner[0])
    if origin is Callable or hint is Callable:
        return callable(value)
    if origin is not None:
        return _container_fits(value, origin, inner)
    return _class_fits(value, hint) if inspect.isclass(hint) else True


def _container_fits(value: Any, origin: Any, inner: tuple[Any, ...]) -> bool:
    if not inspect.isclass(origin):
        return True
    if issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if not issubclass(list, origin) and not issubclass(tuple, origin) and not issubclass(origin, AbstractSet):
        return True
    if isinstance(value, (str, Mapping)) or not isinstance(value, (Sequence, AbstractSet)):
        # What is built from a configuration may be a sequence of its own kind.
        return not isinstance(value, (*PLAIN, Mapping, types.NoneType)) and isinstance(value, origin)
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        return len(value) == len(inner) and all(map(fits, value, inner))
    return all(fits(each, inner[0]) for each in value) if inner else True


def _class_fits(value: Any, hint: type) -> bool:
    if hint in PLAIN:
        kinds = {bool: bool, int: int, float: (int, float), str: str}[hint]
        return isinstance(value, kinds) and (hint is bool or not isinstance(value, bool))
    if hint in (list, tuple):
        return isinstance(value, (list, tuple))
    sure = hint in (Tensor, nn.Module) or hint.__module__.startswith(SURE)
    if not sure or getattr(hint, "_is_protocol", False):
        return True
    return isinstance(value, hint)


def readable(hint: Any) -> str:
    """A type as a message names it.

    Example:
        >>> from collections.abc import Sequence
        >>> readable(Sequence[int] | None), readable(float)
        ('a list of int or None', 'float')
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(readable(each) for each in inner))
    if origin is typing.Literal:
        return " or ".join(map(repr, inner))
    if (inspect.isclass(origin) and issubclass(list, origin)) or origin is tuple:
        named = dict.fromkeys(readable(each) for each in inner if each is not Ellipsis)
        return f"a list of {' and '.join(named)}"
    if hint is types.NoneType:
        return "None"
    return getattr(hint, "__name__", str(hint))
