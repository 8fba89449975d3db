"""Lightning callbacks: what a run shows, and what keeps it repeatable."""

from .activity import Activity
from .anneal import AnnealDelays, AnnealSurrogate
from .confusion import ConfusionMatrix
from .decisions import Decisions
from .efficiency import Efficiency
from .eigenvalues import Eigenvalues
from .gradient_norms import GradientNorms
from .health import Health
from .histograms import Histograms
from .learning_rates import LearningRates
from .model_graph import ModelGraph
from .models import BestModel, LastModel
from .pictures import Pictures
from .plastic_weights import PlasticWeights
from .progress import PlainProgress, Progress
from .repeatable import Repeatable
from .votes import Votes

__all__ = [
    "Activity",
    "AnnealDelays",
    "AnnealSurrogate",
    "BestModel",
    "ConfusionMatrix",
    "Decisions",
    "Efficiency",
    "Eigenvalues",
    "GradientNorms",
    "Health",
    "Histograms",
    "LastModel",
    "LearningRates",
    "ModelGraph",
    "Pictures",
    "PlainProgress",
    "PlasticWeights",
    "Progress",
    "Repeatable",
    "Votes",
]
