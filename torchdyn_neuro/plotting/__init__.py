"""Figures: functions of tensors or arrays that return matplotlib axes; matplotlib is imported when one is drawn."""

from .bifurcation_diagram import bifurcation_diagram
from .eigenvalue_plane import eigenvalue_plane
from .fi_curve import fi_curve
from .phase_plane import phase_plane
from .raster import raster
from .spectrum import spectrum
from .traces import traces

__all__ = [
    "bifurcation_diagram",
    "eigenvalue_plane",
    "fi_curve",
    "phase_plane",
    "raster",
    "spectrum",
    "traces",
]
