"""Runs in processes of their own, which are stopped in the middle and go on."""

import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from torchdyn_neuro.training import load_checkpoint, run
from torchdyn_neuro.training.folders import FOLDER_VARIABLE
from torchdyn_neuro.training.interruption import SIGNALS, Interruption, quoted

ROOT = Path(__file__).parents[2]
# Lightning and its dependencies warn about their own future.
pytestmark = [pytest.mark.filterwarnings("ignore:::lightning"), pytest.mark.filterwarnings("ignore::FutureWarning")]
EPOCHS = 6
# What counts as the best model here is the one with the largest loss: the first epoch has it, and no later one.
SHORT = [
    "model.hidden=[16]", "steps=4", "threads=1", "callbacks=minimal", "logger=none", "data.batch_size=128",
    f"trainer.max_epochs={EPOCHS}", "optimizer=sgd", "optimizer.lr=3.0", "scheduler=constant", "calibrate=0",
    "callbacks.checkpoint.mode=max",
]  # fmt: skip


def start(*overrides):
    return subprocess.Popen(
        [sys.executable, "train.py", *SHORT, *overrides],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def stop(folder, signum, *overrides, after):
    """Start a run, send it a signal as soon as it has told of an epoch, and wait for its end."""
    process = start(f"folder={folder}", *overrides)
    for line in process.stdout:
        if line.startswith(f"epoch {after}/"):
            break
    process.send_signal(signum)
    output, errors = process.communicate(timeout=60)
    assert "test accuracy" not in output
    return process.returncode, errors


def train_here(*overrides):
    """The run of the same command in this process, which need not import everything anew: its test accuracy."""
    threads = torch.get_num_threads()
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose("train", [*SHORT, *overrides])
    try:
        return f"{run(config):.4f}"
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run: its folder and its test accuracy."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(FOLDER_VARIABLE, raising=False)
        return folder, train_here(f"folder={folder}")


def best_state(folder):
    return load_checkpoint(folder / "checkpoints/best.ckpt")["state_dict"]


def test_the_best_model_of_the_whole_run_is_an_early_one(whole):
    """What the tests below rely on."""
    best, last = (load_checkpoint(whole[0] / f"checkpoints/{name}.ckpt")["epoch"] for name in ("best", "last"))
    assert best == 0
    assert last == EPOCHS - 1


@pytest.mark.timeout(200)
def test_killed_and_resumed_equals_uninterrupted(whole, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    folder = tmp_path / "run"
    assert stop(folder, signal.SIGKILL, after=5)[0] == -signal.SIGKILL
    last = folder / "checkpoints/last.ckpt"
    # The line of an epoch is printed before its checkpoints are written.
    assert load_checkpoint(last)["epoch"] >= 3
    (folder / "checkpoints/.last.ckpt.tmp").write_bytes(b"unfinished")
    (folder / "checkpoints/.best.ckpt.a1b2c3").write_bytes(b"unfinished")
    assert train_here(f"checkpoint={last}", f"folder={tmp_path / 'rest'}") == whole[1]
    for folder_of_best in (folder, tmp_path / "rest"):
        for name, value in best_state(whole[0]).items():
            assert torch.equal(best_state(folder_of_best)[name], value), name
    assert sorted(path.name for path in last.parent.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert f"checkpoint: {tmp_path / 'rest'}/checkpoints/best.ckpt" in capsys.readouterr().out


@pytest.mark.timeout(200)
def test_a_signal_prints_the_command_that_goes_on(whole, tmp_path):
    # A name that both the shell and Hydra would take apart.
    folder = tmp_path / "my run=1"
    returned, errors = stop(f"'{folder}'", signal.SIGTERM, after=4)
    assert returned == 143, errors
    [line] = errors.strip().splitlines()
    command = line.removeprefix("interrupted; to go on: ")
    last = f"checkpoint='{folder}/checkpoints/last.ckpt'"
    assert shlex.split(command) == [sys.executable, "train.py", f"folder='{folder}'", last]
    result = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert re.search(r"test accuracy: (.*)", result.stdout).group(1) == whole[1]


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_each_signal_has_its_status(tmp_path, signum, status, monkeypatch, capsys):
    """In this process, from inside the third epoch."""

    def interrupt(self, trainer, module):
        if trainer.current_epoch == 2:
            signal.raise_signal(signum)

    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(Interruption, "on_train_epoch_start", interrupt)
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(SystemExit) as ended:
        train_here(f"folder={tmp_path / 'run'}")
    assert ended.value.code == status
    last = tmp_path / "run/checkpoints/last.ckpt"
    assert load_checkpoint(last)["epoch"] == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("interrupted; to go on: ")
    assert shlex.split(told)[-1] == f"checkpoint={last}"
    assert [signal.getsignal(number) for number in SIGNALS] == before


@pytest.mark.timeout(120)
def test_several_processes_end_together(tmp_path):
    """Lightning alone lets them wait for each other for ever."""
    ddp = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=1000"]
    returned, errors = stop(tmp_path / "run", signal.SIGTERM, *ddp, after=2)
    assert returned == 143, errors
    assert errors.count("interrupted; to go on: ") == 1


def test_a_signal_before_the_first_epoch(capsys, tmp_path):
    interruption = Interruption()
    interruption.folder = tmp_path
    with interruption.watching(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert interruption.status == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    interruption.explain()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("interrupted before the end of the first epoch; to start again: ")
    assert shlex.split(line.partition("again: ")[2]) == sys.orig_argv


@pytest.mark.parametrize("value", ["a b", "it's", "x=1", "back\\slash", "end\\", "\\'", "a/b.ckpt", "[1,2]"])
def test_values_reach_hydra_as_they_are(value):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    [override] = OverridesParser.create().parse_overrides([f"checkpoint={quoted(value)}"])
    assert override.value() == value
