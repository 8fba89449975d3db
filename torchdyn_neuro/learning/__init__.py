"""Ways to learn over time: the gradients of one model by different methods."""

from .bptt import BPTT
from .eprop import EProp
from .method import LearningMethod, Outcome

__all__ = ["BPTT", "EProp", "LearningMethod", "Outcome"]
