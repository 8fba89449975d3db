import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.activity.current_scale import CurrentScale
from torchdyn_neuro.data import Digits, Split
from torchdyn_neuro.losses import MembraneCrossEntropy
from torchdyn_neuro.training import Classification, load_checkpoint, run
from torchdyn_neuro.training.folders import FOLDER_VARIABLE, make_folder

ROOT = Path(__file__).parents[2]
# Lightning and its dependencies warn about their own future.
pytestmark = [pytest.mark.filterwarnings("ignore:::lightning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


def scalars(folder, tag):
    events = EventAccumulator(str(folder)).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_run_writes_everything_it_promises(composed, tmp_path, capsys):
    accuracy = run(composed("callbacks.gradient_norms.every=2"))
    lines = capsys.readouterr().out.strip().splitlines()
    folder = tmp_path / "run"
    assert lines[-3:] == [
        f"test accuracy: {accuracy:.4f}",
        f"checkpoint: {folder}/checkpoints/best.ckpt",
        f"tensorboard --logdir {folder}",
    ]
    events = EventAccumulator(str(folder)).Reload()
    tags = events.Tags()
    assert {
        "train/loss", "train/accuracy", "val/loss", "val/accuracy", "test/accuracy",
        "rate_hz/neuron0", "dead/neuron0", "saturated/neuron0",
    } <= set(tags["scalars"])  # fmt: skip
    # Six steps, of which Lightning logs none.
    assert [step for step, _ in scalars(folder, "gradient_norm/linear0")] == [0, 2, 4]
    assert {"learned/neuron0.tau_mem_ms", "weights/linear0.weight"} <= set(tags["histograms"])
    assert {"raster/neuron0", "voltage/neuron0", "voltage/readout"} <= set(tags["images"])
    assert "config/text_summary" in tags["tensors"]
    [text] = events.Tensors("config/text_summary")
    [shown] = text.tensor_proto.string_val
    assert "    neuron:\n      _target_: torchdyn_neuro.LIF\n" in shown.decode()
    assert OmegaConf.load(folder / "hparams.yaml")["neuron"] == "LIF"
    assert scalars(folder, "rate_hz/neuron0")[0][1] > 0
    assert scalars(folder, "dead/neuron0")[0][1] < 1
    model = tdn.load(folder / "checkpoints/best.ckpt").model
    assert model(torch.rand(4, 2, 1, 8, 8)).shape == (4, 2, 10)


@pytest.mark.parametrize("scheduler", ["constant", "one_cycle"])
def test_resume_is_bit_exact_with_a_poisson_encoder(composed, tmp_path, scheduler):
    common = ["encoder=poisson", "callbacks=minimal", f"scheduler={scheduler}", "model.dropout=0.2"]
    keep_all = ["callbacks.checkpoint.filename='{epoch}'", "+callbacks.checkpoint.save_top_k=-1"]
    run(composed(*common, *keep_all, "trainer.max_epochs=4", f"folder={tmp_path / 'whole'}"))
    if scheduler == "constant":
        run(composed(*common, *keep_all, "trainer.max_epochs=2", f"folder={tmp_path / 'half'}"))
        half = tmp_path / "half/checkpoints/epoch=1.ckpt"
    else:
        # A schedule that knows its end: the run of four epochs was cut off after two.
        half = tmp_path / "whole/checkpoints/epoch=1.ckpt"
    run(composed(*common, *keep_all, "trainer.max_epochs=4", f"checkpoint='{half}'", f"folder={tmp_path / 'rest'}"))
    expected = load_checkpoint(tmp_path / "whole/checkpoints/epoch=3.ckpt")
    got = load_checkpoint(tmp_path / "rest/checkpoints/epoch=3.ckpt")
    for name, value in expected["state_dict"].items():
        assert torch.equal(value, got["state_dict"][name]), name
    for key, state in expected["optimizer_states"][0]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, got["optimizer_states"][0]["state"][key][name]), name
    for tag in ("train/loss", "val/loss"):
        assert scalars(tmp_path / "whole", tag)[2:] == scalars(tmp_path / "rest", tag)


def fails(config):
    with pytest.raises(SystemExit) as stop:
        run(config)
    message = stop.value.code
    assert isinstance(message, str), "a message as exit code means status 1"
    assert message.startswith("error: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["neuron.tau_mem=-1.0"], "expected a number above 0"),
        (
            ["neuron.tau_mem=0.4", "+neuron.integrator._target_=torchdyn_neuro.Euler"],
            "expected a step below twice tau_mem",
        ),
        (["calibrate=-5"], "train: expected calibrate at least 0 Hz, got -5"),
        (["calibrate=nan"], "expected calibrate at least 0 Hz, got nan"),
        (["calibrate=much"], "expected calibrate to be a number"),
        (["seed=null"], "expected seed to be an integer from 0"),
        (["seed=-1"], "expected seed to be an integer from 0"),
        (["threads=-2"], "expected threads to be an integer from 0"),
        (["threads=1.5"], "expected threads to be an integer from 0"),
        (["callbacks.gradient_norms.every=0"], "GradientNorms: expected every to be at least 1, got 0"),
        (["callbacks.histograms.every=-1"], "Histograms: expected every to be at least 1"),
        (["+callbacks.pictures.samples=0"], "Pictures: expected samples to be at least 1"),
        (["+callbacks.activity.saturation=2"], "Activity: expected saturation from 0 to 1"),
        (["+callbacks.checkpoint.dirpath=/elsewhere"], "a checkpoint's dirpath to stay in the run's folder"),
        (["callbacks.last.filename=../../../last"], "a checkpoint's dirpath to stay in the run's folder"),
        (["logger.tensorboard.name=../../elsewhere"], "a logger's name and version to stay in the run's folder"),
        (["logger=csv", "logger.csv.version=/elsewhere"], "a logger's name and version to stay in the run's folder"),
        (
            ["callbacks=early_stopping", "callbacks.early_stopping.monitor=val_loss"],
            "EarlyStopping: expected the name of a measure, got 'val_loss'; write one of val/loss",
        ),
        (["callbacks.checkpoint.monitor=val/f1"], "got 'val/f1'; write one of train/loss, train/accuracy, val/loss"),
        (["neuron._target_=os.system"], "neuron: expected _target_"),
        (["neuron._target_=logging.os.system"], "neuron: expected _target_"),
        (["+neuron.tua=3"], "unexpected keyword argument 'tua'"),
        (["checkpoint=/nowhere/at/all.ckpt"], "check the path"),
        (["trainer.enable_progress_bar=false"], "enable_progress_bar"),
        (["data=mnist", "data.root=/nowhere", "data.download=false"], "get it with: python -c"),
    ],
)
def test_bad_configuration(composed, overrides, message):
    assert message in fails(composed(*overrides))


def test_unwritable_log_folder(composed, tmp_path):
    (tmp_path / "file").write_text("")
    assert "set another one with folder=" in fails(composed(f"folder={tmp_path / 'file/run'}"))


def test_broken_checkpoint_leaves_the_others_intact(composed, tmp_path):
    run(composed("callbacks=minimal"))
    folder = tmp_path / "run/checkpoints"
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes((folder / "last.ckpt").read_bytes()[:5000])
    before = (folder / "best.ckpt").read_bytes()
    assert "truncated" in fails(composed(f"checkpoint={broken}"))
    assert (folder / "best.ckpt").read_bytes() == before


def test_nan_in_data(composed, monkeypatch):
    load = Digits.load

    def with_nan(self):
        splits = load(self)
        splits["train"].images[3, 0, 2, 2] = float("nan")
        return splits

    monkeypatch.setattr(Digits, "load", with_nan)
    assert "expected finite pixels, got 1 NaN" in fails(composed())


def test_wrong_shapes(composed, monkeypatch):
    load = Digits.load
    monkeypatch.setattr(
        Digits, "load", lambda self: {k: Split(s.images.flatten(1), s.labels) for k, s in load(self).items()}
    )
    assert "expected train images [N, 1, 8, 8]" in fails(composed())


def test_non_finite_loss_names_the_module(composed, monkeypatch):
    def broken(self, x):
        return torch.log(-x.abs() - 1)

    monkeypatch.setattr(CurrentScale, "forward", broken)
    message = fails(composed("calibrate=0", "callbacks=minimal"))
    assert "expected a finite loss" in message
    assert "current0 (CurrentScale)" in message


@pytest.mark.parametrize("key", ["model.readout.dt", "encoder.dt"])
def test_two_time_steps_are_refused(composed, key):
    assert "expected one time step, got 0.5 ms in" in fails(composed(f"{key}=0.5"))


def test_diverged_parameters_are_named(composed):
    message = fails(composed("optimizer=sgd", "optimizer.lr=inf", "callbacks=minimal"))
    assert "expected a finite loss" in message
    assert "the parameter" in message


def test_command_line_refuses_unknown_keys_and_groups():
    for override, message in (("model.hiden=3", "hiden"), ("neuron=no_such", "neuron/no_such")):
        result = subprocess.run([sys.executable, "train.py", override], cwd=ROOT, capture_output=True, text=True)
        assert result.returncode != 0
        assert message in result.stderr


@pytest.mark.timeout(200)
def test_two_processes_equal_one(composed, tmp_path):
    common = [
        "callbacks=minimal", "model.norm=none", "model.dropout=0", "data.shift=0", "optimizer=sgd", "calibrate=100",
        "trainer.max_epochs=1",
    ]  # fmt: skip
    run(composed(*common, "trainer.limit_train_batches=5", f"folder={tmp_path / 'one'}"))
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "+trainer.limit_train_batches=5"]
    result = subprocess.run(
        [sys.executable, "train.py", *common, *two, "model.hidden=[16]", "steps=4", f"folder={tmp_path / 'two'}"],
        cwd=ROOT, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("test accuracy") == 1
    one, two = (load_checkpoint(tmp_path / name / "checkpoints/last.ckpt")["state_dict"] for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, msg=name)
    for tag in ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "test/loss", "test/accuracy"):
        (step, value), (other_step, other) = (scalars(tmp_path / name, tag)[-1] for name in ("one", "two"))
        assert (other_step, other) == (step, pytest.approx(value, rel=1e-5)), tag


def test_sharding_refuses_in_words(composed):
    if not torch.cuda.is_available():
        assert "trainer: No supported gpu backend found" in fails(composed("trainer=fsdp"))
    task = Classification(nn.Sequential(tdn.LIF(tdn.Learned(2.0))), 2, loss=MembraneCrossEntropy())
    task._trainer = SimpleNamespace(strategy=FSDPStrategy())
    with pytest.raises(ValueError, match="expected parameters with an axis to share out by FSDP, got 1"):
        task.setup("fit")


def test_no_run_writes_into_the_folder_of_another(tmp_path, monkeypatch):
    """Two runs that begin in the same second have the same name for their folders."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    wanted = tmp_path / "logs/2024-01-01_00-00-00"
    folders = [make_folder(str(wanted)) for _ in range(3)]
    monkeypatch.delenv(FOLDER_VARIABLE)
    assert folders == [wanted, wanted.with_name(f"{wanted.name}-2"), wanted.with_name(f"{wanted.name}-3")]
    assert all(folder.is_dir() for folder in folders)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="set another one with folder="):
        make_folder(str(tmp_path / "file"))


@pytest.mark.parametrize(("own", "policy"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_asleep(own, policy):
    """OpenMP reads this when torch is loaded; a choice of the user's own stays."""
    probe = "import train, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    if own is not None:
        environment["OMP_WAIT_POLICY"] = own
    result = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.stdout.split() == [policy, "False"], result.stderr


def test_the_progress_bar_shows_loss_and_accuracy(monkeypatch):
    task = Classification(nn.Sequential(tdn.LeakyIntegrator()), 3, loss=MembraneCrossEntropy())
    shown = {}
    monkeypatch.setattr(task, "log", lambda name, value, *, prog_bar=False, **rest: shown.update({name: prog_bar}))
    for last in (False, True):
        assert not shown, "numbers are logged by the epoch"
        task._trainer = SimpleNamespace(is_last_batch=last)
        task.training_step((torch.rand(2, 4, 3), torch.tensor([0, 2])), 0)
        task.on_train_batch_end(None, None, 0)
    assert shown == {"train/loss": True, "train/accuracy": True}
