"""A model that has left Python: a program of ``torch.export`` with its state as named inputs and outputs."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from ..core.state import State, first_frame
from ..core.torch_private import inductor
from .layout import Layout
from .onnx_file import OnnxModel, write_step, write_scan
from .runner import Runner
from .survey import survey
from .trace import trace_scan, trace_step

LAYOUT = "layout.json"
"""The file beside a program that holds its layout, and its name among the facts of a compiled one."""


class Exported(Runner):
    """A model as :func:`export_step` or :func:`export_scan` gives it.

    Attributes:
        program: of ``torch.export``; ``program.module()(x, state)`` gives ``(y, state)``, the state a dictionary.
        layout: the names, types and shapes of what it takes and gives.
    """

    def __init__(self, program: ExportedProgram, layout: Layout, step: ExportedProgram | None = None):
        super().__init__(layout)
        self.program = program
        self._step = step
        self._module: nn.Module | None = None

    def _run(self, x: list[Tensor], state: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        if self._module is None:
            self._module = self.program.module()
        with torch.no_grad():
            y, after = self._module(x[0] if self.layout.inputs[0].name == "x" else tuple(x), state)
        return ([y] if isinstance(y, Tensor) else list(y)), after

    def save(self, path: str | Path) -> None:
        """Write a file that ``torch.export.load`` reads without this package; the layout is in it as ``layout.json``.

        Args:
            path: of the file, which ends in ``.pt2``.
        """
        torch.export.save(self.program, Path(path), extra_files={LAYOUT: self.layout.to_json()})

    def save_onnx(self, path: str | Path) -> None:
        """Write an ONNX file; the layout is in its metadata.

        Its inputs are ``x`` and ``state.NAME`` of each tensor of the state, its outputs ``y`` and ``next.NAME``. A scan
        is one ``Scan`` with the step in it.

        Args:
            path: of the file, which ends in ``.onnx``.

        Raises:
            ImportError: without onnxscript.
            NotExportable: if ONNX has no operation for what the model computes.
        """
        if self.layout.kind == "step":
            write_step(self.program, self.layout, path)
        else:
            write_scan(self._step, self.layout, path)

    def compile(self, path: str | Path) -> None:
        """Compile into a library by AOTInductor, for processes without Python too; it takes a compiler for C++.

        Args:
            path: of the file, which ends in ``.pt2``.
        """
        facts = {"aot_inductor.metadata": {LAYOUT: self.layout.to_json()}}
        inductor().aoti_compile_and_package(self.program, package_path=str(path), inductor_configs=facts)


class Compiled(Runner):
    """A model from a library that :meth:`Exported.compile` made.

    Args:
        path: of the file.
    """

    def __init__(self, path: str | Path):
        self._model = inductor().aoti_load_package(str(path))
        super().__init__(Layout.from_json(self._model.get_metadata()[LAYOUT]))

    def _run(self, x: list[Tensor], state: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        y, after = self._model(x[0] if self.layout.inputs[0].name == "x" else tuple(x), state)
        return ([y] if isinstance(y, Tensor) else list(y)), after


def export_step(model: nn.Module, x_t: State) -> Exported:
    seen = survey("export_step", model, x_t)
    return Exported(trace_step("export_step", model, seen), seen.layout)


def export_scan(model: nn.Module, x: State) -> Exported:
    seen = survey("export_scan", model, first_frame(x))
    step = trace_step("export_scan", model, seen)
    return Exported(trace_scan(step, seen), seen.layout.over_time(), step)


def load(path: str | Path) -> Runner:
    ...
