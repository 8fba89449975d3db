"""Every mistake in a configuration is named by its key."""

import pytest
import torch

from torchdyn_neuro.training import build, run
from torchdyn_neuro.training.described import telling
from torchdyn_neuro.training.settings import without_foreign_arguments

# Lightning and its dependencies warn about their own future.
pytestmark = [pytest.mark.filterwarnings("ignore:::lightning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["~encoder"], "Digits: expected sequences [B, T, 1, 8, 8], got samples of shape [64, 1, 8, 8]; choose what"),
        (["encoder=none"], "for example encoder=direct_current"),
        (["~data"], "expected data to have a _target_, got None; choose one with data=NAME"),
        (["~model._target_"], "expected model to have a _target_"),
        (["~loss._target_"], "expected loss to have a _target_"),
        (["~optimizer"], "expected optimizer to have a _target_"),
        (["+trainer={}", "~trainer._target_"], "expected trainer to have a _target_"),
        (["~data._target_"], "expected data to have a _target_"),
        (["+callbacks.mine=3"], "expected callbacks.mine to have a _target_, got 3"),
        (["+logger.mine={a: 1}"], "expected logger.mine to have a _target_"),
        (["model.hidden=64"], "model: expected hidden to be a list of int, got 64; set it with model.hidden=..."),
        (["model.hidden=[a]"], "expected hidden to be a list of int, got ['a']"),
        (["model.dropout=much"], "model: expected dropout to be float, got 'much'"),
        (["model.dropout=2"], "model: dropout probability has to be between 0 and 1, but got 2"),
        (["model.neuron=5"], "set it with model.neuron=..."),
        (["neuron.tau_mem=long"], "model.neuron: expected tau_mem to be float or Tensor"),
        (["optimizer.lr=abc"], "optimizer: expected lr to be float or Tensor, got 'abc'; set it with optimizer.lr=..."),
        (["optimizer.lr=-1.0"], "optimizer: Invalid learning rate: -1"),
        (["+optimizer.momentum=1"], "optimizer: AdamW takes"),
        (["data.batch_size=many"], "data: expected batch_size to be int, got 'many'"),
        (["data.batch_size=0"], "Digits: expected batch_size >= 1"),
        (["loss.label_smoothing=x"], "loss: expected label_smoothing to be float"),
        (["trainer.accumulate_grad_batches=0"], "expected trainer.accumulate_grad_batches to be at least 1, got 0"),
        (["trainer.max_epochs=x"], "trainer: expected max_epochs to be int or None, got 'x'"),
        (["callbacks.pictures.every=x"], "callbacks.pictures: expected every to be int"),
        (["dt=x"], "expected dt to be a number"),
        (["dt=0"], "expected dt above 0 ms"),
        (["steps=0"], "expected steps to be an integer from 1"),
        (["steps=x"], "expected steps to be an integer from 1"),
        (["~seed"], "Interpolation key 'seed' not found"),
        (["~calibrate"], "expected calibrate to be a number"),
        (["folder=null"], "expected folder to be a text, got None; set it with folder=..."),
        (["objective=5"], "expected objective to be a text"),
        (["objective=test/accuracy"], "objective=val/accuracy"),
        (["profiler=simple", "+profiler.dirpath=/elsewhere"], "profiler: expected dirpath to be left to the run"),
        (["+logger.tensorboard.save_dir=/elsewhere"], "logger.tensorboard: expected save_dir to be left to the run"),
        (
            ["+trainer.logger=true"],
            "trainer: expected logger to be left to the run, got True",
        ),
        (["+model.classes=3"], "model: expected classes to be left to the run"),
        (["~neuron"], "neuron"),
        (["~dt"], "dt"),
    ],
)
def test_a_mistake_is_named(composed, overrides, message, tmp_path):
    with pytest.raises(SystemExit) as stop:
        run(composed("callbacks=default", *overrides))
    assert message in stop.value.code
    assert "\n" not in stop.value.code


def test_what_may_be_absent(composed):
    absent = ("scheduler", "learning", "callbacks", "logger", "profiler", "groups", "penalty")
    short = ["trainer.max_epochs=1", "trainer.limit_train_batches=1", "calibrate=0"]
    assert 0 <= run(composed(*short, *(f"~{group}" for group in absent))) <= 1


def test_extra_arguments_are_offered_and_no_more():
    """A class of the user's own need not take what the library tells every model."""
    built = build(
        {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}, extra={"bias": False, "classes": 3}
    )
    assert built.bias is None


def test_a_mistake_that_shows_later_has_its_place_too():
    optimizer = build({"_target_": "torch.optim.SGD", "_partial_": True, "lr": -1.0}, "optimizer")
    with pytest.raises(ValueError, match="optimizer: Invalid learning rate"):
        optimizer([torch.zeros(1, requires_grad=True)])


def test_the_arguments_of_another_class_are_left_out():
    target = "torch.nn.Linear"
    config = {"a": {"_target_": target, "in_features": 3, "tau": 2.0, "gain": 1.0}, "b": {"_target_": target, "x": 1}}
    kept = without_foreign_arguments(config, ["a._target_", "a.gain"], [])
    assert kept["a"] == {"_target_": target, "in_features": 3, "gain": 1.0}
    assert kept["b"] == config["b"]
    nested = without_foreign_arguments({"c": config}, ["c.b._target_"], [])
    assert nested == {"c": {"a": config["a"], "b": {"_target_": target}}}


def test_what_tells_runs_apart(composed):
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(composed("callbacks=default", "neuron=adlif"), resolve=True)
    found = telling(config, ["optimizer.lr"])
    assert next(iter(found)) == "optimizer.lr"
    assert found["neuron"] == "AdLIF"
    assert found["encoder"] == "DirectCurrent"
    assert found["model.readout.tau_mem"] == 5.0
    repeated = ("callbacks", "logger", "folder", "model.neuron", "encoder.steps", "neuron.dt", "trainer.devices")
    assert not [key for key in found if key.startswith(repeated)]
    assert all(isinstance(value, (bool, int, float, str)) for value in found.values())
