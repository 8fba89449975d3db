"""Exported models as ONNX files, and what runs them."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from .layout import LAYOUT, Layout
from .refusal import NotExportable
from .runner import Runner
from .trace import quiet


def input_names(layout: Layout) -> list[str]:
    """What the inputs are called, in order."""
    return [port.name for port in layout.inputs] + [f"state.{leaf.name}" for leaf in layout.state]


def output_names(layout: Layout) -> list[str]:
    """What the outputs are called, in order."""
    return [port.name for port in layout.outputs] + [f"next.{leaf.name}" for leaf in layout.state]


def translate(program: ExportedProgram, layout: Layout) -> Any:
    """A step as a model of ``onnx_ir``.

    Args:
        program: the step.
        layout: its layout.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "save_onnx: expected the packages onnx and onnxscript, got none; pip install 'torchdyn_neuro[export]'"
        ) from error
    try:
        with quiet():
            found = torch.onnx.export(
                program,
                dynamo=True,
                verbose=False,
                input_names=input_names(layout),
                output_names=output_names(layout),
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise NotExportable(
            f"save_onnx: expected operations that ONNX has, got one that it lacks: {error.__cause__ or error}; save() "
            "writes the same model for torch"
        ) from error
    graph = found.model.graph
    batch = graph.inputs[0].shape[0]
    for value in (*graph.inputs, *(value for node in graph for value in node.outputs)):
        for axis, size in enumerate(value.shape or ()):
            if size == batch:
                value.shape[axis] = "batch"
    return found.model


def scan_of(step: Any, layout: Layout) -> Any:
    """A graph of one ``Scan`` with the graph of a step in it, which is used up.

    Args:
        step: a graph of ``onnx_ir``.
        layout: of the step or of the sequence.
    """
    import onnx_ir as ir

    states = len(layout.state)
    frames, before = list(step.inputs[:-states]), list(step.inputs[-states:])
    y, after = list(step.outputs[:-states]), list(step.outputs[-states:])

    def outer(value: Any, name: str, longer: bool) -> Any:
        shape = ir.Shape([*(["steps"] if longer else []), *value.shape])
        return ir.Value(name=name, shape=shape, type=value.type)

    inputs = [outer(value, value.name, value in frames) for value in (*frames, *before)]
    outputs = [outer(value, value.name, value in y) for value in (*after, *y)]
    held = list(step.initializers.values())
    step.initializers.clear()
    for value in (*frames, *before, *y, *after):
        value.name = f"each.{value.name}"
    step.inputs[:] = [*before, *frames]
    step.outputs[:] = [*after, *y]
    step.name = "step"
    scan = ir.Node(
        "",
        "Scan",
        [*inputs[len(frames) :], *inputs[: len(frames)]],
        [ir.AttrGraph("body", step), ir.AttrInt64("num_scan_inputs", len(frames))],
        outputs=outputs,
    )
    ordered = [*outputs[states:], *outputs[:states]]
    return ir.Graph(inputs, ordered, nodes=[scan], initializers=held, opset_imports=step.opset_imports, name="scan")


def write(model: Any, layout: Layout, path: str | Path) -> None:
    """Write a model of ``onnx_ir`` and its layout.

    Args:
        model: the model.
        layout: its layout.
        path: of the file.
    """
    import onnx_ir as ir

    model.metadata_props[LAYOUT] = layout.to_json()
    ir.save(model, str(path))


class OnnxModel(Runner):
    """A model from an ONNX file that :meth:`Exported.save_onnx` wrote, run by onnxruntime.

    Args:
        path: of the file.
        options: of ``onnxruntime.InferenceSession``, such as ``providers``.
    """

    def __init__(self, path: str | Path, **options: Any):
        try:
            import onnxruntime
        except ImportError as error:
            raise ImportError(
                "OnnxModel: expected the package onnxruntime, got none; pip install 'torchdyn_neuro[export]'"
            ) from error
        self.session = onnxruntime.InferenceSession(str(path), **options)
        facts = self.session.get_modelmeta().custom_metadata_map
        if LAYOUT not in facts:
            raise ValueError(
                f"OnnxModel: expected a file that Exported.save_onnx wrote, got {path} without {LAYOUT} in its "
                "metadata; run it with onnxruntime itself"
            )
        super().__init__(Layout.from_json(facts[LAYOUT]))
        self._inputs, self._outputs = input_names(self.layout), output_names(self.layout)

    def _run(self, x: list[Tensor], state: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        given = (value.cpu().numpy() for value in (*x, *state.values()))
        found = self.session.run(self._outputs, dict(zip(self._inputs, given, strict=True)))
        tensors = [torch.from_numpy(value) for value in found]
        count = len(self.layout.outputs)
        return tensors[:count], dict(zip(state, tensors[count:], strict=True))
