"""Lightning callbacks: what a run shows, and what keeps it repeatable."""

from .activity import Activity
from .confusion import ConfusionMatrix
from .decisions import Decisions
from .efficiency import Efficiency
from .eigenvalues import Eigenvalues
from .gradient_norms import GradientNorms
from .histograms import Histograms
from .models import BestModel, LastModel
from .pictures import Pictures
from .plastic_weights import PlasticWeights
from .progress import PlainProgress, Progress
from .repeatable import Repeatable

__all__ = [
    "Activity",
    "BestModel",
    "ConfusionMatrix",
    "Decisions",
    "Efficiency",
    "Eigenvalues",
    "GradientNorms",
    "Histograms",
    "LastModel",
    "Pictures",
    "PlainProgress",
    "PlasticWeights",
    "Progress",
    "Repeatable",
]
