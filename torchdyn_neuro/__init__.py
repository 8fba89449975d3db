"""Every textbook equation of neural and synaptic dynamics as a tested, trainable, fast ``nn.Module``.

The names below need torch only. The deep-learning parts (``torchdyn_neuro.data``, ``torchdyn_neuro.training``) are
imported where they are used.
"""

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

__version__ = "0.1.0"

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
