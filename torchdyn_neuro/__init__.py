"""Every textbook equation of neural and synaptic dynamics as a tested, trainable, fast ``nn.Module``.

The names below need torch only. The parts that stand above the equations (``tdn.analysis``, ``tdn.plotting``,
``tdn.encoding``, ``tdn.losses``, ``tdn.models``, ...) keep their names to themselves and are imported on first use.
"""

from importlib import import_module
from typing import Any

from . import (
    activity,
    adaptation,
    connections,
    core,
    fused,
    integrators,
    neurons,
    noise,
    plasticity,
    rates,
    surrogates,
    synapses,
    wiring,  # noqa: F401
)
from .activity import *  # noqa: F403
from .adaptation import *  # noqa: F403
from .connections import *  # noqa: F403
from .core import *  # noqa: F403
from .fused import *  # noqa: F403
from .integrators import *  # noqa: F403
from .neurons import *  # noqa: F403
from .noise import *  # noqa: F403
from .plasticity import *  # noqa: F403
from .rates import *  # noqa: F403
from .surrogates import *  # noqa: F403
from .synapses import *  # noqa: F403

__version__ = "0.2.0"

_ON_FIRST_USE = {
    "analysis",
    "compression",
    "conversion",
    "data",
    "decoding",
    "encoding",
    "events",
    "exchange",
    "export",
    "inference",
    "layers",
    "learning",
    "losses",
    "metrics",
    "models",
    "networks",
    "plotting",
    "training",
}
_FILES = {"load", "save"}
"""Functions of ``tdn.inference``, which stands on the trainer."""


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        return import_module(f"{__name__}.{name}")
    if name in _FILES:
        return getattr(import_module(f"{__name__}.inference"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_FIRST_USE, *_FILES})


__all__ = [
    *activity.__all__,
    *adaptation.__all__,
    *connections.__all__,
    *core.__all__,
    *fused.__all__,
    *integrators.__all__,
    *neurons.__all__,
    *noise.__all__,
    *plasticity.__all__,
    *rates.__all__,
    *surrogates.__all__,
    *synapses.__all__,
    "__version__",
]
