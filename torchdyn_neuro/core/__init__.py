"""The contract that every equation fulfils, and the containers built on it."""

from .chain import Chain
from .dynamics import Dynamics
from .integrator import Integrator
from .ode import ODE
from .parts import Adaptation, Noise
from .quantities import Learned, NonNegative, Parametrised, Positive, Quantity, Real, UnitInterval
from .randomness import Draw, Noisy
from .record import record
from .recurrent import Recurrent, RecurrentState
from .spiking import SpikingODE
from .state import Shared, State, detach_state, full_state, leaves, map_state, register_state, zeros_state
from .stepwise import Stepwise, Unfolded
from .streaming import Streaming
from .surrogate import Surrogate
from .time_loop import available_backends, backend

__all__ = [
    "ODE",
    "Adaptation",
    "Chain",
    "Draw",
    "Dynamics",
    "Integrator",
    "Learned",
    "Noise",
    "Noisy",
    "NonNegative",
    "Parametrised",
    "Positive",
    "Quantity",
    "Real",
    "Recurrent",
    "RecurrentState",
    "Shared",
    "SpikingODE",
    "State",
    "Stepwise",
    "Streaming",
    "Surrogate",
    "Unfolded",
    "UnitInterval",
    "available_backends",
    "backend",
    "detach_state",
    "full_state",
    "leaves",
    "map_state",
    "record",
    "register_state",
    "zeros_state",
]
