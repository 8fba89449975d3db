"""The graph of a spiking network for TensorBoard and for ONNX: the eager loop, step by step, or a refusal."""

import importlib.util
import io

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn

STEPS = 5

pytestmark = [
    # Torch itself still traces there, and says of its own tracer that it is deprecated.
    pytest.mark.filterwarnings(r"ignore:.*torch\.jit\.trace:FutureWarning"),
    pytest.mark.filterwarnings(r"ignore:.*torch\.jit\.trace:DeprecationWarning"),
    # So says its exporter of itself, and of a function of its own that it calls.
    pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript-based ONNX export:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The feature will be removed:DeprecationWarning"),
    # The checks of shapes look at numbers while they are traced; nothing of them is in the graph.
    pytest.mark.filterwarnings("ignore:Converting a tensor to a Python:torch.jit.TracerWarning"),
]


def network():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 8),
        tdn.LIF(2.0, t_ref=2.0),
        tdn.Recurrent(tdn.LIF(2.0), nn.Linear(8, 8)),
        nn.Linear(8, 2),
        tdn.LeakyIntegrator(),
    )
    with torch.no_grad():
        model[0].weight.mul_(6)
    return model


def drive(scale=1.0, steps=STEPS):
    return scale * torch.rand(steps, 3, 4, generator=torch.Generator().manual_seed(1))


def test_the_graph_for_tensorboard_has_every_layer_and_every_step(tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from torch.utils.tensorboard import SummaryWriter

    model = network()
    expected = model(drive())
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(model, drive())
    written = event_accumulator.EventAccumulator(str(tmp_path))
    written.Reload()
    nodes = written.Graph().node
    names = {node.name for node in nodes}
    scopes = {"/".join(name.split("/")[:2]) for name in names}
    layers = {f"Sequential/{type(layer).__name__}[{name}]" for name, layer in model.named_children()}
    assert layers <= scopes
    assert {"input", "output"} <= {name.split("/")[0] for name in names}
    spikes = [node.name for node in nodes if node.op == "prim::PythonOp"]
    assert len([name for name in spikes if "Recurrent" in name]) == STEPS
    assert len(spikes) == 2 * STEPS
    # What is put out follows from what comes in. (Edges name parameters in a way of their own.)
    inputs = {node.name: list(node.input) for node in nodes}
    reached, waiting = set(), [name for name in names if name.startswith("output")]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting += [other for other in inputs.get(name, []) if other not in reached]
    assert any(name.startswith("input") for name in reached)
    # Tracing has changed nothing.
    assert torch.equal(model(drive()), expected)


@pytest.mark.skipif(
    not (importlib.util.find_spec("onnx") and importlib.util.find_spec("onnxruntime")),
    reason="onnx and onnxruntime, which write and run the model, are not installed",
)
def test_a_model_in_onnx_gives_the_same_and_takes_no_other_length():
    import onnxruntime

    model = network().eval()
    file = io.BytesIO()
    torch.onnx.export(model, (drive(),), file, dynamo=False, input_names=["x"], output_names=["y"])
    session = onnxruntime.InferenceSession(file.getvalue())
    for scale in (1.0, 0.3, 2.0):
        with torch.no_grad():
            expected = model(drive(scale))
        assert_close(torch.from_numpy(session.run(None, {"x": drive(scale).numpy()})[0]), expected)
    with pytest.raises(Exception, match="invalid dimensions"):
        session.run(None, {"x": drive(steps=STEPS + 1).numpy()})
    # Random numbers follow from a key in 64 bits, whose operations this exporter lacks; tdn.export has them.
    with pytest.raises(torch.onnx.errors.OnnxExporterError, match=r"(?i)not support"):
        torch.onnx.export(tdn.LIF(noise=tdn.WhiteNoise()), (drive(),), io.BytesIO(), dynamo=False)
