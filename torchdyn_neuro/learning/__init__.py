"""Ways to learn over time: the gradients of one model by different methods."""

from .bptt import BPTT
from .eprop import EProp
from .local_losses import LocalLosses
from .method import LearningMethod, Outcome
from .rtrl import RTRL
from .tbptt import TBPTT
from .three_factor import ThreeFactor

__all__ = ["BPTT", "RTRL", "TBPTT", "EProp", "LearningMethod", "LocalLosses", "Outcome", "ThreeFactor"]
