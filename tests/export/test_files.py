"""The files of exported models: read again here, and in a process that lacks this package."""

import os
import subprocess
import sys

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.export.models import example, scan_of, step_of
from torchdyn_neuro.core.state import leaves, map_state
from torchdyn_neuro.export import load

# Torch below 2.14, at loading.
pytestmark = pytest.mark.filterwarnings("ignore:The given buffer is not writable")

STRANGER = """
import json, sys, torch
sys.modules["torchdyn_neuro"] = None  # what is imported from here on cannot import it
folder, rows = sys.argv[1], 2

def opened(name):
    files = {"layout.json": ""}
    program = torch.export.load(f"{folder}/{name}.pt2", extra_files=files)
    torch.manual_seed(2)
    state = {}
    for leaf in json.loads(files["layout.json"])["state"]:
        shape = [rows if size == "batch" else size for size in leaf["shape"]]
        value = torch.tensor(leaf["initial"], dtype=getattr(torch, leaf["dtype"])).expand(shape).clone()
        if leaf["random"]:
            value += torch.randint(-(2**63), 2**63 - 1, (rows, *[1] * (len(shape) - 1))) & -4
        state[leaf["name"]] = value
    return program.module(), state

found = {}
for name, x in torch.load(f"{folder}/inputs.pt").items():
    step, state = opened(f"{name}.step")
    y = []
    for x_t in x:
        y_t, state = step(x_t, state)
        y.append(y_t)
    scan, first = opened(f"{name}.scan")
    found[name] = (torch.stack(y), state, *scan(x, first))
assert not [name for name in sys.modules if name.startswith("torchdyn_neuro.")]
torch.save(found, f"{folder}/found.pt")
"""


def test_a_process_without_this_package_gives_the_same(tmp_path):
    inputs, expected = {}, {}
    for name in ("chain", "noise"):
        model, x = example(name, 30, 2)
        step_of(name).save(tmp_path / f"{name}.step.pt2")
        scan_of(name).save(tmp_path / f"{name}.scan.pt2")
        torch.manual_seed(2)
        with torch.no_grad(), tdn.backend("eager"):
            inputs[name], expected[name] = x, model.scan(x)
    torch.save(inputs, tmp_path / "inputs.pt")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-P", "-c", STRANGER, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert run.returncode == 0, run.stderr
    for name, (stepped, after, scanned, end) in torch.load(tmp_path / "found.pt").items():
        y, state = expected[name]
        assert y.unique().numel() > 1
        for found, last in ((stepped, after), (scanned, end)):
            assert_close((found, list(last.values())), (y, leaves(state)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["step", "scan"])
def test_files_are_read_again(tmp_path, kind):
    _, x = example("conductances", 3, 2)
    if kind == "step":
        x = map_state(lambda leaf: leaf[0], x)
    exported = {"step": step_of, "scan": scan_of}[kind]("conductances")
    exported.save(tmp_path / "model.pt2")
    again = load(tmp_path / "model.pt2")
    assert again.layout == exported.layout
    state = again.initial_state(2)
    found, expected = again(x, state), exported(x, state)
    assert_close(found, expected)
    assert found[0].shape == x[0].shape
    # The whole state is there, and moves.
    assert all(value.shape == state[name].shape for name, value in found[1].items())
    assert not torch.equal(found[1]["v"], state["v"])
    if kind == "scan":
        with pytest.raises(ValueError, match="expected what export_scan\\(\\) gave"):
            again.save_onnx(tmp_path / "model.onnx")


def test_onnx_files_are_valid_and_name_every_tensor(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    scan_of("conductances").save_onnx(tmp_path / "scan.onnx")
    graph = onnx.load(tmp_path / "scan.onnx").graph
    onnx.checker.check_model(tmp_path / "scan.onnx", full_check=True)
    sizes = [[axis.dim_param or axis.dim_value for axis in port.type.tensor_type.shape.dim] for port in graph.input]
    assert [port.name for port in graph.input] == ["x.0", "x.1", "state.v"]
    assert sizes == [["steps", "batch", 4], ["steps", "batch", 4], ["batch", 4]]
    assert [port.name for port in graph.output] == ["y", "next.v"]
    assert [node.op_type for node in graph.node] == ["Scan"]
    assert load(tmp_path / "scan.onnx").layout.kind == "scan"


def test_other_files_are_refused(tmp_path):
    torch.save(torch.zeros(1), tmp_path / "weights.pt2")
    with pytest.raises(ValueError, match=r"expected a file that Exported\.save wrote, got weights\.pt2"):
        load(tmp_path / "weights.pt2")
    with pytest.raises(ValueError, match="expected no options"):
        load(tmp_path / "weights.pt2", providers=["CPUExecutionProvider"])
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(ValueError, match=r"expected the file of an exported model, got notes\.txt"):
        load(tmp_path / "notes.txt")
