"""Models that leave this package: one step or a whole sequence, the state as named inputs and outputs."""

from .export import export_scan, export_step, load
from .exported import Compiled, Exported
from .layout import Layout, Port, StateLeaf
from .onnx_file import OnnxModel
from .refusal import NotExportable
from .runner import Runner

__all__ = [
    "Compiled",
    "Exported",
    "Layout",
    "NotExportable",
    "OnnxModel",
    "Port",
    "Runner",
    "StateLeaf",
    "export_scan",
    "export_step",
    "load",
]
