"""Figures: functions of tensors or arrays that return matplotlib axes; matplotlib is imported when one is drawn."""

from .fi_curve import fi_curve
from .phase_plane import phase_plane
from .raster import raster
from .traces import traces

__all__ = ["fi_curve", "phase_plane", "raster", "traces"]
