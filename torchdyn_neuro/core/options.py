"""What every spiking cell takes beside its physics, and its documentation, written once."""

import inspect
from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

from .checks import one_of, positive_number
from .integrator import Integrator
from .surrogate import Surrogate
from .terms import Adaptation, Noise


class SpikingOptions(TypedDict, total=False):
    """What every spiking cell takes beside its physics.

    surrogate: slope of the spike in the backward pass.
    detach_reset: cut the gradient through the reset; otherwise the surrogate acts below threshold too.
    integrator: how a step is taken.
    adaptation: what slows the cell down after its spikes, e.g. ``SpikeFrequencyAdaptation()``; none if omitted.
    noise: what makes it random, e.g. ``WhiteNoise()``; none if omitted.
    dt: time step, ms.
    """

    surrogate: Surrogate
    detach_reset: bool
    integrator: Integrator
    adaptation: Adaptation | None
    noise: Noise | None
    dt: float


def with_options(text: str | None, defaults: SpikingOptions) -> str | None:
    """The documentation of a cell, with that of the common options at the end of its arguments."""
    if not text or "Args:\n" not in text or "surrogate:" in text:
        return text
    start = text.index("Args:\n")
    margin = " " * (start - text.rindex("\n", 0, start) - 1)
    end = text.find("\n\n", start)
    lines = []
    for line in inspect.cleandoc(SpikingOptions.__doc__).split("\n\n", 1)[1].splitlines():
        name, _, meaning = line.partition(":")
        default = defaults.get(name)
        note = "" if default is None else f" The default is ``{default!r}``."
        lines.append(f"{margin}    {name}:{meaning}{note}")
    return text[:end] + "\n" + "\n".join(lines) + text[end:]


def refuse_unknown(kind: type, options: Mapping[str, Any]) -> None:
    """Raise ``TypeError`` if a cell of this class would hand an argument on to a base that makes nothing of it.

    A cell that takes ``**options: Unpack[SpikingOptions]`` takes those by name; one that takes anything takes what the
    class takes from which it is derived.
    """
    known = set(SpikingOptions.__annotations__)
    for base in kind.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        known.update(parameter.name for parameter in parameters)
        further = [parameter for parameter in parameters if parameter.kind is inspect.Parameter.VAR_KEYWORD]
        if not further or further[0].annotation == Unpack[SpikingOptions]:
            break
    unknown = sorted(set(options) - known)
    if unknown:
        raise TypeError(
            f"{kind.__name__}: expected arguments of this cell or {', '.join(SpikingOptions.__annotations__)}, got "
            f"{', '.join(unknown)}; leave that out"
        )


def check_rule(owner: str, surrogate: Surrogate, reset: str, t_ref: float, detach_reset: bool) -> None:
    """Raise if a part of the rule by which a cell spikes is of another kind than it should be."""
    if not isinstance(surrogate, Surrogate):
        raise TypeError(f"{owner}: expected a surrogate such as ATan(), got {surrogate!r}; pass an instance")
    if not isinstance(detach_reset, bool):
        raise TypeError(f"{owner}: expected detach_reset to be True or False, got {detach_reset!r}; pass one of them")
    one_of(owner, "reset", reset, "subtract", "value", "zero", "none")
    positive_number(owner, "t_ref", t_ref, zero=True, unit="ms")


def spelled_out(parameter: inspect.Parameter, defaults: SpikingOptions) -> list[inspect.Parameter]:
    """The parameters that stand for one of a constructor: of ``**options``, each option with its default."""
    if parameter.annotation != Unpack[SpikingOptions]:
        return [parameter]
    shown = []
    for name, kind in SpikingOptions.__annotations__.items():
        default = defaults.get(name, inspect.Parameter.empty)
        keyword = inspect.Parameter.KEYWORD_ONLY
        shown.append(parameter.replace(name=name, kind=keyword, default=default, annotation=kind))
    return shown
