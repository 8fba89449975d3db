"""What cannot leave the package says why, and in which layer."""

import pytest
import torch
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.state import State
from torchdyn_neuro.export import NotExportable, export_scan, export_step


class Looks(tdn.LIF):
    """Its step depends on numbers that an example alone tells."""

    def step(self, x_t, state):
        return super().step(x_t * 2 if x_t.sum() > 0 else x_t, state)


class Uneven(tdn.LIF):
    """Its rows begin at different potentials."""

    def initial_state(self, x_t):
        state = super().initial_state(x_t)
        return state._replace(v=state.v + torch.arange(len(x_t), dtype=torch.float32)[:, None])


class Mixed(tdn.LIF):
    """Keeps something for each pair of rows."""

    def initial_state(self, x_t: State) -> State:
        return super().initial_state(x_t)._replace(adaptation=x_t.new_zeros(len(x_t), len(x_t)))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = tdn.LIF()

    def forward(self, x):
        return self.cell(self.cell(x))


def chain(*layers):
    return tdn.Chain(*layers).eval()


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        (
            lambda: tdn.Chain(nn.Linear(3, 3), tdn.LIF()),
            ValueError,
            r"got Chain in training mode; call model\.eval\(\)",
        ),
        (lambda: nn.Sequential(nn.Linear(3, 3)).eval(), ValueError, "expected a model with dynamics, got none"),
        (lambda: nn.Sequential(nn.Linear(4, 3), tdn.LIF()).eval(), ValueError, "input of width 4 for Linear, got 3"),
        (lambda: Twice().eval(), ValueError, "called once per step, got a second call of LIF at 'cell'"),
        (lambda: chain(nn.Linear(3, 3), Looks()), NotExportable, "in Looks at '1': Could not guard on data-dependent"),
        (lambda: chain(Uneven()), NotExportable, r"rows that differ in '0\.v'"),
        (lambda: chain(Mixed()), NotExportable, r"'0\.adaptation' to have one axis for the batch or none"),
        (lambda: tdn.Streaming(tdn.LIF()).eval(), ValueError, r"got Streaming, which keeps them; export .*\.model"),
        (lambda: None, TypeError, "expected a model, got NoneType"),
    ],
)
def test_models_that_stay(model, error, words):
    with pytest.raises(error, match=words):
        export_step(model(), torch.ones(2, 3))


def test_a_layer_in_training_mode_is_named():
    model = chain(nn.Linear(3, 3), tdn.LIF())
    model[1].train()
    with pytest.raises(ValueError, match="got layer '1' in training mode"):
        export_scan(model, torch.ones(1, 2, 3))


@pytest.mark.parametrize("x", [torch.ones(3), [1.0], torch.ones(1, 0, 3)])
def test_examples_that_are_none(x):
    with pytest.raises(TypeError, match=r"export_scan: expected a sequence \[T, B, \*\], or a tuple of such, got"):
        export_scan(tdn.LIF().eval(), x)


def test_calls_that_do_not_fit():
    step = export_step(tdn.LIF().eval(), torch.ones(2, 3))
    state = step.initial_state(2)
    with pytest.raises(ValueError, match=r"Exported: expected x \[batch, 3\], got \(4, 2, 3\); pass a frame"):
        step(torch.ones(4, 2, 3), state)
    with pytest.raises(
        ValueError, match=r"expected v \[batch, 3\] in float32, got shape \(2, 3\) in float32 for {'batch"
    ):
        step(torch.ones(4, 3), state)
    with pytest.raises(ValueError, match=r"expected x .* in float32, got shape .* in float64"):
        step(torch.ones(2, 3, dtype=torch.float64), state)
    with pytest.raises(ValueError, match="expected a state with v, got w; pass what"):
        step(torch.ones(2, 3), {"w": state["v"]})


def test_what_onnx_lacks_is_named(tmp_path):
    pytest.importorskip("onnxscript")

    class Ranks(nn.Module):
        def forward(self, x):
            return torch.linalg.svdvals(x)[:, None].expand_as(x)

    class Rows(nn.Module):
        def forward(self, x):
            return Ranks()(x[..., None] * x[..., None, :])[..., 0]

    step = export_step(chain(tdn.LIF(), Rows()), torch.ones(2, 3))
    with pytest.raises(NotExportable, match=r"save_onnx: expected operations that ONNX has, got one .*svd"):
        step.save_onnx(tmp_path / "step.onnx")


def test_exporting_leaves_the_generator_alone():
    torch.manual_seed(5)
    export_step(tdn.LIF(noise=tdn.WhiteNoise()).eval(), torch.ones(2, 3))
    first = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), first)
