"""A model that has left Python: a program of ``torch.export`` with its state as named inputs and outputs."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from ..core.torch_private import COMPILES_SCANS, inductor
from .layout import LAYOUT, Layout
from .onnx_file import scan_of, translate, write
from .refusal import NotExportable
from .runner import Runner
from .trace import quiet


class Exported(Runner):
    """A model as :func:`export_step` or :func:`export_scan` gives it.

    Args:
        program: of ``torch.export``; ``program.module()(x, state)`` gives ``(y, state)``, the state a dictionary.
        layout: the names, types and shapes of what it takes and gives.
        step: the program of one step, of which a scan consists.
    """

    def __init__(self, program: ExportedProgram, layout: Layout, step: ExportedProgram | None = None):
        super().__init__(layout)
        self.program = program
        self.step = program if layout.kind == "step" else step
        self._module: nn.Module | None = None

    def _run(self, x: list[Tensor], state: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        if self._module is None:
            self._module = self.program.module()
        with torch.no_grad():
            return self.parted(*self._module(self.joined(x), state))

    def save(self, path: str | Path) -> None:
        """Write a file that ``torch.export.load`` reads without this package; it holds the layout as ``layout.json``.

        Args:
            path: of the file, which ends in ``.pt2``.
        """
        torch.export.save(self.program, Path(path), extra_files={LAYOUT: self.layout.to_json()})

    def save_onnx(self, path: str | Path) -> None:
        """Write an ONNX file, the layout in its metadata.

        Its inputs are ``x`` and ``state.NAME`` for each tensor of the state, its outputs ``y`` and ``next.NAME``. A
        sequence is one ``Scan`` with the step in it.

        Args:
            path: of the file, which ends in ``.onnx``.

        Raises:
            ImportError: without onnxscript.
            NotExportable: if ONNX has no operation for what the model computes.
        """
        if self.step is None:
            raise ValueError(
                "save_onnx: expected what export_scan() gave, which knows its step, got a scan from a file; export the "
                "model again and call save_onnx() on that"
            )
        model = translate(self.step, self.layout)
        if self.layout.kind == "scan":
            model.graph = scan_of(model.graph, self.layout)
        write(model, self.layout, path)

    def compile(self, path: str | Path) -> None:
        """Compile into a library by AOTInductor, which C++ programs load too; it needs a C++ compiler.

        Args:
            path: of the file, which ends in ``.pt2``.

        Raises:
            NotExportable: for a scan below torch 2.14, which compiles steps only.
        """
        if self.layout.kind == "scan" and not COMPILES_SCANS:
            raise NotExportable(
                f"compile: expected torch 2.14 for a scan, got {torch.__version__}, which compiles a step only; update "
                "torch, compile what export_step() gives, or save() the scan"
            )
        options = {"aot_inductor.metadata": {LAYOUT: self.layout.to_json()}}
        with quiet():
            inductor().aoti_compile_and_package(self.program, package_path=str(path), inductor_configs=options)


class Compiled(Runner):
    """A model in a library that :meth:`Exported.compile` made.

    Args:
        path: of the file.
    """

    def __init__(self, path: str | Path):
        self._model = inductor().aoti_load_package(str(path))
        super().__init__(Layout.from_json(self._model.get_metadata()[LAYOUT]))

    def _run(self, x: list[Tensor], state: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        return self.parted(*self._model(self.joined(x), state))
