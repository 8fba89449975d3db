"""The contract that every equation fulfils, and the containers built on it."""

from .chain import Chain
from .commit import commit, freeze, frozen
from .context import padded
from .dynamics import Dynamics
from .integrator import Integrator
from .learning_rule import Activity, LearningRule, RowTrace, SharedTrace
from .modulated import Modulated
from .network import Network, NetworkState
from .ode import ODE, Membrane
from .options import SpikingOptions
from .plastic import Plastic, RowPlasticState, SharedPlasticState
from .quantities import Learned, NonNegative, Parametrized, Positive, Quantity, Real, UnitInterval
from .record import record
from .recurrent import Recurrent
from .spiking import Spiking, Threshold
from .state import Shared, State, detach_state, full_state, leaves, map_state, register_state, zeros_state
from .stepwise import Stepwise, Unfolded
from .streaming import Streaming
from .surrogate import Surrogate
from .terms import Adaptation, Noise, NoiseState, Term
from .time_loop import available_backends, backend, why_eager

__all__ = [
    "ODE",
    "Activity",
    "Adaptation",
    "Chain",
    "Dynamics",
    "Integrator",
    "Learned",
    "LearningRule",
    "Membrane",
    "Modulated",
    "Network",
    "NetworkState",
    "Noise",
    "NoiseState",
    "NonNegative",
    "Parametrized",
    "Plastic",
    "Positive",
    "Quantity",
    "Real",
    "Recurrent",
    "RowPlasticState",
    "RowTrace",
    "Shared",
    "SharedPlasticState",
    "SharedTrace",
    "Spiking",
    "SpikingOptions",
    "State",
    "Stepwise",
    "Streaming",
    "Surrogate",
    "Term",
    "Threshold",
    "Unfolded",
    "UnitInterval",
    "available_backends",
    "backend",
    "commit",
    "detach_state",
    "freeze",
    "frozen",
    "full_state",
    "leaves",
    "map_state",
    "padded",
    "record",
    "register_state",
    "why_eager",
    "zeros_state",
]
