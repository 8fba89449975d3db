"""Activity from the start: how much each layer fires, weights that make it fire, activations that spike, checks."""

from .calibrate import calibrate
from .check import check
from .current_scale import CurrentScale
from .per_call import PerCall
from .replace import replace
from .report import ActivityReport, LayerActivity, activity_report
from .set_dt import set_dt

__all__ = [
    "ActivityReport",
    "CurrentScale",
    "LayerActivity",
    "PerCall",
    "activity_report",
    "calibrate",
    "check",
    "replace",
    "set_dt",
]
