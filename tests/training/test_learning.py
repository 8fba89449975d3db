"""Every choice of learning goes through a whole run, with what a trainer does to gradients on the way."""

import math
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning.pytorch import Trainer
from torch import nn
from torch.testing import assert_close
from torch.utils.data import DataLoader, TensorDataset

import torchdyn_neuro as tdn
from torchdyn_neuro.learning import BPTT, EProp, LearningMethod
from torchdyn_neuro.losses import EveryStep, MembraneCrossEntropy
from torchdyn_neuro.training import Classification, load_checkpoint, run

CONFIGS = Path(__file__).parents[2] / "configs"
# Lightning and its dependencies warn about their own future; torch about its own forward mode.
pytestmark = [
    pytest.mark.filterwarnings("ignore:::lightning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
SHORT = [
    "trainer.max_epochs=1", "trainer.limit_train_batches=1", "+trainer.limit_val_batches=1",
    "+trainer.limit_test_batches=1", "callbacks=minimal", "logger=none",
]  # fmt: skip
CHOICES = sorted(path.stem for path in (CONFIGS / "learning").glob("*.yaml"))


@pytest.fixture(autouse=True)
def eager():
    with tdn.backend("eager"):
        yield


@pytest.mark.parametrize("choice", CHOICES)
def test_default_model(composed, choice):
    assert math.isfinite(run(composed(f"learning={choice}", "model.hidden=[4]", *SHORT)))


@pytest.mark.parametrize("choice", ["tbptt", "eprop", "local_losses", "three_factor"])
@pytest.mark.parametrize("model", ["ctrnn", "ei_rate", "reservoir"])
def test_recurrent_models(tmp_path, choice, model):
    short = [option.replace("trainer.limit", "+trainer.limit").replace("++", "+") for option in SHORT]
    units = "model.network.excitatory=8" if model == "ei_rate" else "model.network.units=40"
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        overrides = [
            f"model={model}",
            f"learning={choice}",
            units,
            "steps=8",
            "threads=1",
            f"folder={tmp_path / 'run'}",
        ]
        config = compose("train", [*overrides, *short])
    assert math.isfinite(run(config))


def refusal(config):
    with pytest.raises(SystemExit) as stop:
        run(config)
    return stop.value.code


def test_refusals_come_before_the_run_and_in_one_line(composed, tmp_path):
    message = refusal(composed("learning=eprop", "model=convolutional", "~model.hidden", *SHORT))
    assert message.startswith("error: EProp: expected learned weights in linear layers only, got Stepwise at 'conv0'")
    assert not (tmp_path / "run").exists()
    message = refusal(composed("learning=eprop", "learning.error=end", "loss=rate", *SHORT))
    assert 'pass error="running"' in message


def test_everything_a_trainer_does_with_gradients(composed, tmp_path):
    """Mixed precision, accumulation, clipping, norms of gradients, learned feedback, a checkpoint that goes on."""
    options = [
        "learning=eprop", "learning.feedback=adaptive", "trainer.precision=bf16-mixed", "model.hidden=[6,5]",
        "trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=0.5", "trainer.limit_train_batches=2",
        "callbacks.gradient_norms.every=1",
    ]  # fmt: skip
    run(composed(*options, "trainer.max_epochs=2"))
    last = tmp_path / "run/checkpoints/last.ckpt"
    saved = load_checkpoint(last)["state_dict"]
    assert saved["learning.weights.stage0"].shape == (6, 10)
    assert saved["learning.weights.stage1"].shape == (5, 10)
    assert tdn.load(last).model(torch.rand(4, 2, 1, 8, 8)).shape == (4, 2, 10)
    run(composed(*options, "trainer.max_epochs=3", f"checkpoint={last}", f"folder={tmp_path / 'on'}"))
    after = load_checkpoint(tmp_path / "on/checkpoints/last.ckpt")["state_dict"]
    assert not torch.equal(after["learning.weights.stage0"], saved["learning.weights.stage0"])


class Watching(Classification):
    """Eight samples, two at a time."""

    def train_dataloader(self):
        torch.manual_seed(0)
        return DataLoader(TensorDataset(torch.rand(8, 20, 5), torch.arange(8) % 2), batch_size=2)


@pytest.mark.parametrize("loss", [MembraneCrossEntropy(), EveryStep()], ids=["membrane", "every step"])
def test_the_optimizer_gets_the_same_from_both_where_theory_says_so(tmp_path, loss):
    seen = []
    for method in (BPTT(), EProp(error="end")):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(5, 6), tdn.LIF(3.0), nn.Linear(6, 2), tdn.LeakyIntegrator(3.0))
        with torch.no_grad():
            model[0].weight.mul_(8)
        task = Watching(model, 2, loss=loss, learning=method)
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(
            accelerator="cpu", max_steps=1, accumulate_grad_batches=4, gradient_clip_val=0.05,
            enable_model_summary=False, default_root_dir=tmp_path, **quiet,
        )  # fmt: skip
        trainer.fit(task)
        seen.append({name: parameter.grad for name, parameter in model.named_parameters()})
    assert sum(gradient.square().sum() for gradient in seen[0].values()).sqrt().item() == pytest.approx(0.05, rel=1e-3)
    for name, gradient in seen[0].items():
        assert_close(seen[1][name], gradient, rtol=1e-4, atol=1e-7)


def test_a_method_of_ones_own():
    class Nothing(LearningMethod):
        def learn(self, model, x, target, loss, lengths=None):
            return BPTT().learn(model, x, target, loss, lengths)

    model = nn.Sequential(nn.Linear(5, 2), tdn.LeakyIntegrator())
    task = Classification(model, 2, loss=MembraneCrossEntropy(), learning=Nothing())
    assert task.learning(model, torch.rand(3, 2, 5), torch.tensor([0, 1]), task.loss).loss.requires_grad
