"""What leaves the package computes what the eager step does, for as many calls as one likes."""

import pytest
import torch
from torch.testing import assert_close

import torchdyn_neuro as tdn
from tests.export.models import MODELS, example, scan_of, step_of
from torchdyn_neuro.core.state import frames, leaves
from torchdyn_neuro.export import OnnxModel
from torchdyn_neuro.export.onnx_file import scan_of as scan_of_step
from torchdyn_neuro.export.onnx_file import translate, write

CALLS = 1000
ROWS = 2


def eager(model, x):
    """Outputs and last state, from the seed that the tests share."""
    torch.manual_seed(2)
    with torch.no_grad(), tdn.backend("eager"):
        if isinstance(model, tdn.Dynamics):
            y, state = model.scan(x)
            return y, leaves(state)
        live = tdn.Streaming(model)
        return live(x), leaves(tuple(live.states().values()))


def started(runner):
    torch.manual_seed(2)
    return runner.initial_state(ROWS)


def stepped(runner, x):
    """Outputs and last state of successive calls."""
    state, outputs = started(runner), []
    for x_t in frames(x):
        y_t, state = runner(x_t, state)
        outputs.append(y_t)
    return torch.stack(outputs), list(state.values())


def close(found, expected):
    """Spikes are the same spikes; values agree to 1e-5, of their size where that is above 1."""
    assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", list(MODELS))
def test_step_and_scan_in_onnx_are_the_eager_ones_over_a_thousand_calls(name, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    model, x = example(name, CALLS, ROWS)
    expected = eager(model, x)
    assert expected[0].unique().numel() > 1
    step = step_of(name)  # of another number of rows
    assert list(step.initial_state(ROWS)) == MODELS[name][2]
    # As save_onnx() does it, translated once for both.
    translated = translate(step.program, step.layout)
    write(translated, step.layout, tmp_path / "step.onnx")
    close(stepped(OnnxModel(tmp_path / "step.onnx"), x), expected)
    translated.graph = scan_of_step(translated.graph, step.layout)
    write(translated, step.layout.over_time(), tmp_path / "scan.onnx")
    scan = OnnxModel(tmp_path / "scan.onnx")
    y, state = scan(x, started(scan))
    close((y, list(state.values())), expected)


@pytest.mark.parametrize("name", ["sequential with a convolution", "noise"])
def test_a_scan_in_torch_is_the_eager_one_for_any_number_of_steps_and_rows(name):
    model, x = example(name, 40, ROWS)
    scan = scan_of(name)
    expected = eager(model, x)
    state, pieces = started(scan), []
    for first, last in ((0, 1), (1, 18), (18, 40)):
        y, state = scan(x[first:last], state)
        pieces.append(y)
    close((torch.cat(pieces), list(state.values())), expected)
