"""Models for use without this package: states as named inputs and outputs."""
from .exported import Exported, Compiled, export_scan, export_step, load
from .layout import Layout, Port, StateLeaf
from .onnx_file import OnnxModel
from .refusal import NotExportable
from .runner import Runner
