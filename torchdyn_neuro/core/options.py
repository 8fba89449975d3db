"""What every spiking cell takes beside its physics, and its documentation, written once."""

import inspect
from typing import TypedDict

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
