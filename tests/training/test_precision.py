"""Training in bfloat16: fused as eager, states in float32, near what float32 gives."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import torchdyn_neuro as tdn
from torchdyn_neuro.training import load_checkpoint, run

# Lightning and its dependencies warn about their own future.
pytestmark = [pytest.mark.filterwarnings("ignore:::lightning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), tdn.LIF(tdn.Learned(5.0)), nn.Linear(16, 4), tdn.LeakyIntegrator(5.0))
    with torch.no_grad():
        model[0].weight.mul_(4)
    return model


def outcome(precision, backend):
    """Outputs, the last state of the hidden layer, and gradients."""
    model, x = network(), 2 * torch.rand(20, 3, 8, generator=torch.Generator().manual_seed(1))
    if precision == "true":
        model, x = model.bfloat16(), x.bfloat16()
    with tdn.backend(backend), torch.autocast("cpu", torch.bfloat16, enabled=precision == "mixed"):
        drive = model[0](x)
        spikes, state = model[1].scan(drive)
        y = model[3](model[2](spikes))
        y.float().square().mean().backward()
        if backend == "auto":
            assert tdn.why_eager(model[1], drive) is None
    assert drive.dtype == (torch.float32 if precision == "whole" else torch.bfloat16)
    return y.detach(), state.v.detach(), [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("precision", ["mixed", "true"])
def test_fused_as_eager_and_near_float32(precision):
    eager, fused = (outcome(precision, backend) for backend in ("eager", "auto"))
    assert fused[0].dtype == torch.bfloat16
    assert fused[1].dtype == torch.float32
    # Sums over time in another order, rounded to eight bits.
    assert_close(fused, eager, rtol=2**-6, atol=1e-3)
    assert fused[0].abs().max() > 0.1
    whole = outcome("whole", "auto")
    assert (fused[0].float() - whole[0]).norm() < 0.05 * whole[0].norm()


SHORT = ["callbacks=minimal", "logger=none", "trainer.max_epochs=1", "model.hidden=[8]"]


@pytest.mark.parametrize(("precision", "dtype"), [("bf16-mixed", torch.float32), ("bf16-true", torch.bfloat16)])
def test_a_run(composed, tmp_path, precision, dtype):
    fused = ["trainer.gradient_clip_val=1.0", "trainer.accumulate_grad_batches=2", "optimizer.fused=true"]
    assert math.isfinite(run(composed(*SHORT, *fused, f"trainer.precision={precision}")))
    last = load_checkpoint(tmp_path / "run/checkpoints/last.ckpt")
    assert last["state_dict"]["model.linear0.weight"].dtype == dtype


@pytest.mark.parametrize("choice", ["layers", "time"])
def test_a_run_that_recomputes_is_the_same(composed, tmp_path, choice):
    weights = []
    for recompute in ("none", choice):
        norm = "model.norm=none" if choice == "time" else "model.norm=batch"
        own = [f"learning.recompute={recompute}", "learning.piece=3", norm, "model.dropout=0.0"]
        run(composed(*SHORT, *own, f"folder={tmp_path / recompute}"))
        weights.append(load_checkpoint(tmp_path / recompute / "checkpoints/last.ckpt")["state_dict"])
    assert_close(weights[1], weights[0])
