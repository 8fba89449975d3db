"""What every spiking cell takes beside its physics, and its documentation, written once."""

import inspect
from collections.abc import Mapping
from typing import Any, TypedDict, TypeVar, Unpack, get_args, get_origin

from .integrator import Integrator
from .quantities import Quantity
from .surrogate import Surrogate
from .terms import Adaptation, Noise

_MEANINGS: dict[str, str] = {}

Options = TypeVar("Options", bound=type)


def describes(typed: Options) -> Options:
    """Class decorator of a typed dictionary whose docstring says what each option means, for the cells that take it."""
    for line in inspect.cleandoc(typed.__doc__).splitlines()[1:]:
        name, colon, meaning = line.partition(": ")
        if colon:
            _MEANINGS[name] = meaning
    return typed


@describes
class CellOptions(TypedDict, total=False):
    """What every spiking cell takes beside its physics and what attaches to it.

    surrogate: slope of the spike in the backward pass.
    detach_reset: cut the gradient through the reset; otherwise the surrogate acts below threshold too.
    integrator: how a step is taken.
    v_init: potential before the first step, in the unit of the potential; where the cell rests if omitted.
    dt: time step, ms.
    """

    surrogate: Surrogate
    detach_reset: bool
    integrator: Integrator
    v_init: Quantity | None
    dt: float


@describes
class AdaptationOption(TypedDict, total=False):
    """The adaptation of a cell that has none of its own.

    adaptation: what slows the cell down after its spikes, e.g. ``SpikeFrequencyAdaptation()``; none if omitted.
    """

    adaptation: Adaptation | None


@describes
class NoiseOption(TypedDict, total=False):
    """The noise of a cell that has none of its own.

    noise: what makes it random, e.g. ``WhiteNoise()``; none if omitted.
    """

    noise: Noise | None


class SpikingOptions(CellOptions, AdaptationOption, NoiseOption, total=False):
    """What every spiking cell takes beside its physics.

    surrogate, detach_reset, integrator, v_init, dt: as in :class:`CellOptions`.
    adaptation, noise: what attaches to the cell.
    """


def options_of(kind: type) -> dict[str, Any]:
    """The options that a cell takes as ``**options: Unpack[...]``, and their types."""
    parameters = inspect.signature(kind.__init__).parameters.values() if "__init__" in vars(kind) else ()
    return next((dict(_typed(found).__annotations__) for found in parameters if _typed(found) is not None), {})


def with_options(kind: type) -> str | None:
    """The documentation of a cell, with that of the options that it takes at the end of its arguments."""
    text = vars(kind).get("__doc__")
    taken = options_of(kind)
    if not text or "Args:\n" not in text or not taken or "surrogate:" in text:
        return text
    start = text.index("Args:\n")
    margin = " " * (start - text.rindex("\n", 0, start) - 1)
    end = text.find("\n\n", start)
    lines = []
    for name in taken:
        default = _default(kind, name)
        silent = default is None or default is inspect.Parameter.empty
        note = "" if silent else f" The default is ``{default!r}``."
        lines.append(f"{margin}    {name}: {_MEANINGS[name]}{note}")
    return text[:end] + "\n" + "\n".join(lines) + text[end:]


def refuse_unknown(kind: type, options: Mapping[str, Any]) -> None:
    """Raise ``TypeError`` if a cell of this class would hand an argument on to a base that makes nothing of it.

    A cell that takes ``**options: Unpack[...]`` takes those of the typed dictionary; one that takes anything takes what
    the class takes from which it is derived.
    """
    known = set()
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        known.update(parameter.name for parameter in parameters)
        known.update(options_of(base))
        further = [parameter for parameter in parameters if parameter.kind is inspect.Parameter.VAR_KEYWORD]
        if not further or _typed(further[0]) is not None:
            break
    unknown = sorted(set(options) - known)
    if unknown:
        taken = ", ".join(name for name in SpikingOptions.__annotations__ if name in known)
        raise TypeError(
            f"{kind.__name__}: expected arguments of this cell or {taken}, got {', '.join(unknown)}; leave that out"
        )


def spelled_out(kind: type, parameter: inspect.Parameter) -> list[inspect.Parameter]:
    """The parameters that stand for one of a constructor: of ``**options``, each option with its default."""
    typed = _typed(parameter)
    if typed is None:
        return [parameter]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [
        parameter.replace(name=name, kind=keyword, default=_default(kind, name), annotation=annotation)
        for name, annotation in typed.__annotations__.items()
    ]


def _typed(parameter: inspect.Parameter) -> Any:
    """The typed dictionary behind ``**options``; ``None`` for any other parameter."""
    annotation = parameter.annotation
    return get_args(annotation)[0] if get_origin(annotation) is Unpack else None


def _default(kind: type, name: str) -> Any:
    """The default of an option: that of the class, or the one that a base class gives it as an argument."""
    if name in kind.defaults:
        return kind.defaults[name]
    for base in kind.__mro__:
        parameters = inspect.signature(base.__init__).parameters if "__init__" in vars(base) else {}
        if name in parameters:
            return parameters[name].default
    return inspect.Parameter.empty
