"""From a model to a program without Python, and back from its file."""

import zipfile
from pathlib import Path

import torch
from torch import nn

from ..core.state import State, first_frame
from .exported import Compiled, Exported
from .layout import LAYOUT, Layout
from .onnx_file import OnnxModel
from .runner import Runner
from .survey import check_tensors, survey
from .trace import trace_scan, trace_step


def export_step(model: nn.Module, x_t: State) -> Exported:
    r"""One time step of a model, for any batch, its state as named inputs and outputs.

    .. math:: (y_t, s_t) = \mathrm{step}(x_t, s_{t-1})

    The model may be any that ``Streaming`` takes: dynamics, a ``Chain``, an ``nn.Sequential`` of layers, a model in
    ``Stepwise`` with ``Unfolded`` inside. Random keys and plastic weights are part of the state.

    Args:
        model: the model, in evaluation mode.
        x_t: a frame [B, \*] as an example, of any size B; a tuple of them where the model takes several.

    Returns:
        The step: call it, ``save`` it, ``save_onnx`` it or ``compile`` it.

    Raises:
        TypeError: if the model is none, or the example no tensor.
        ValueError: if the model holds no dynamics or calls one of them twice, or is in training mode.
        NotExportable: if a layer cannot be exported; it is named.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> model = nn.Sequential(nn.Linear(3, 4), tdn.LIF(2.0)).eval()
        >>> step = export_step(model, torch.zeros(1, 3))
        >>> state = step.initial_state(rows=2)
        >>> list(state)
        ['1.v']
        >>> y_t, state = step(torch.ones(2, 3), state)
        >>> y_t.shape
        torch.Size([2, 4])
    """
    check_tensors("export_step", x_t, "a frame [B, *]", axes=1)
    # What torch.compile has made runs as it was written.
    with torch.compiler.set_stance("force_eager"):
        seen = survey("export_step", model, x_t)
        return Exported(trace_step("export_step", model, seen), seen.layout)


def export_scan(model: nn.Module, x: State) -> Exported:
    r"""A model over a sequence, for any number of steps and any batch, its state as named inputs and outputs.

    It is the step of :func:`export_step` in a loop: torch's ``scan`` operator, in ONNX a ``Scan``. Pieces of a
    sequence, the state handed on, give what the whole gives.

    Args:
        model: the model, in evaluation mode.
        x: a sequence [T, B, \*] as an example, of any T and B; a tuple of them where the model takes several.

    Returns:
        The scan: call it, ``save`` it, ``save_onnx`` it or ``compile`` it.

    Raises:
        TypeError, ValueError, NotExportable: as :func:`export_step`.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> scan = export_scan(tdn.LIF(2.0).eval(), torch.zeros(1, 1, 3))
        >>> y, state = scan(torch.ones(20, 4, 3), scan.initial_state(rows=4))
        >>> y.shape
        torch.Size([20, 4, 3])
    """
    check_tensors("export_scan", x, "a sequence [T, B, *]", axes=2)
    with torch.compiler.set_stance("force_eager"):
        seen = survey("export_scan", model, first_frame(x))
        step = trace_step("export_scan", model, seen)
    return Exported(trace_scan(step, seen), seen.layout.over_time(), step)


def load(path: str | Path, **options: object) -> Runner:
    """An exported model from its file, whichever of the three kinds that is.

    Args:
        path: of a file that ``save``, ``save_onnx`` or ``compile`` wrote.
        options: of onnxruntime's session, for an ONNX file, such as ``providers``.

    Raises:
        ValueError: if the file is none of these.
    """
    path = Path(path)
    if not zipfile.is_zipfile(path):
        if path.suffix != ".onnx":
            raise ValueError(
                f"load: expected the file of an exported model, got {path.name}; pass one that save(), save_onnx() or "
                "compile() wrote"
            )
        return OnnxModel(path, **options)
    if options:
        raise ValueError(f"load: expected no options for {path.name}, which onnxruntime does not run; leave them out")
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any("/aotinductor/" in name for name in names):
        return Compiled(path)
    extra = {LAYOUT: ""}
    if not any(name.endswith(LAYOUT) for name in names):
        raise ValueError(
            f"load: expected a file that Exported.save wrote, got {path.name} without {LAYOUT}; save it anew"
        )
    program = torch.export.load(path, extra_files=extra)
    return Exported(program, Layout.from_json(extra[LAYOUT]))
