"""Lightning callbacks: what a run shows, and what keeps it repeatable."""

from .activity import Activity
from .gradient_norms import GradientNorms
from .histograms import Histograms
from .pictures import Pictures
from .progress import PlainProgress, progress
from .repeatable import Repeatable

__all__ = ["Activity", "GradientNorms", "Histograms", "Pictures", "PlainProgress", "Repeatable", "progress"]
