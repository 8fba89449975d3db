"""Activity from the start: how much each layer fires, weights that make it fire, activations that spike, checks."""

from .calibrate import calibrate
from .current_scale import CurrentScale
from .per_call import PerCall
from .replace import replace
from .report import ActivityReport, LayerActivity, activity_report

__all__ = ["ActivityReport", "CurrentScale", "LayerActivity", "PerCall", "activity_report", "calibrate", "replace"]
