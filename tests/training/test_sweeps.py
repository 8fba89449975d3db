"""Many runs of one command."""

import csv
import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from torchdyn_neuro.training import run_job, sweeps
from torchdyn_neuro.training.folders import FOLDER_VARIABLE, SWEEP_VARIABLE
from torchdyn_neuro.training.run import result_of

ROOT = Path(__file__).parents[2]
# Lightning and its dependencies warn about their own future.
pytestmark = [pytest.mark.filterwarnings("ignore:::lightning"), pytest.mark.filterwarnings("ignore::FutureWarning")]
SHORT = [
    "callbacks=minimal", "logger=none", "trainer.max_epochs=1", "+trainer.limit_train_batches=1", "steps=2",
    "+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1", "calibrate=0", "model.hidden=[8]", "threads=1",
]  # fmt: skip


def rows(folder):
    with (folder / sweeps.TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.timeout(200)
def test_one_bad_job_does_not_stop_the_others(tmp_path):
    """From the command line: names in output and folders, the table at the end, nothing beside the folder."""
    words = ["-m", "optimizer.lr=-1.0,0.1", f"folder={tmp_path / 'sweep'}", *SHORT]
    command = [sys.executable, str(ROOT / "train.py"), *words]
    (tmp_path / "here").mkdir()
    result = subprocess.run(command, cwd=tmp_path / "here", capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    assert "job 0: error: optimizer: Invalid learning rate: -1.0" in result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith("job ")] == [
        "job 0: optimizer.lr=-1.0",
        "job 1: optimizer.lr=0.1",
    ]
    assert lines[-3].split()[:3] == ["0", "failed", "optimizer.lr=-1.0"]
    assert lines[-1] == f"1 of 2 jobs ended well: {tmp_path / 'sweep/jobs.csv'}"
    first, second = rows(tmp_path / "sweep")
    assert first["error"].startswith("error: optimizer")
    assert 0 <= float(second["objective"]) <= 1
    assert second["folder"] == str(tmp_path / "sweep/1_optimizer.lr=0.1")
    assert (Path(second["folder"]) / "checkpoints/best.ckpt").is_file()
    assert (tmp_path / "sweep/multirun.yaml").is_file()
    assert not list((tmp_path / "here").iterdir())


@pytest.fixture
def job(tmp_path, monkeypatch):
    """The configuration of one job of a sweep, as Hydra hands it over."""
    for name in (FOLDER_VARIABLE, SWEEP_VARIABLE):
        monkeypatch.delenv(name, raising=False)

    def make(*words, swept="neuron", sweeper=sweeps.PLAIN_SWEEPER):
        monkeypatch.setenv(sweeps.KEYS_VARIABLE, swept)
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            words = [*SHORT, f"folder={tmp_path / 'sweep'}", *words]
            config = compose("train", words, return_hydra_config=True)
        OmegaConf.set_struct(config, False)
        config.hydra.job.num, config.hydra.mode, config.hydra.sweeper._target_ = 3, "MULTIRUN", sweeper
        HydraConfig.instance().set_config(config)
        config.pop("hydra")
        return config

    yield make
    HydraConfig.instance().cfg = None


def test_a_sweep_gets_what_it_optimises(job, tmp_path, monkeypatch):
    """The validation measure of the best model, and not that of the test data."""
    config = job("neuron=lif", "objective=val/loss", "trainer.max_epochs=2", "optimizer.lr=10.0", "scheduler=constant")
    told = []
    monkeypatch.setattr(sys.modules[result_of.__module__], "log_result", lambda trainer, *rest: told.append(trainer))
    value = run_job(config)
    [trainer] = told
    assert value == pytest.approx(float(trainer.checkpoint_callback.best_model_score))
    [row] = rows(tmp_path / "sweep")
    assert (row["name"], float(row["objective"])) == ("neuron=lif", value)
    assert Path(row["folder"]).name == "3_neuron=lif"


def test_a_failure_is_told_to_those_who_want_to_know(job, tmp_path):
    words = ["optimizer.lr=x"]
    assert math.isnan(run_job(job(*words)))
    with pytest.raises(sweeps.FailedJob, match="expected lr to be float"):
        run_job(job(*words, sweeper="theirs.Optuna"))
    assert len(rows(tmp_path / "sweep")) == 2


def test_an_objective_that_is_not_measured_is_named(job, tmp_path):
    assert math.isnan(run_job(job("objective=val/acuracy")))
    assert "got 'val/acuracy'; write one of val/accuracy" in rows(tmp_path / "sweep")[0]["error"]


@pytest.mark.parametrize(
    ("words", "swept", "name", "file"),
    [
        (["neuron=adex", "seed=3"], "neuron seed", "neuron=adex seed=3", "neuron=adex,seed=3"),
        (["neuron=adex", "model.hidden=[16,16]"], "model.hidden", "model.hidden=[16,16]", "model.hidden=16,16"),
        (["+data.root=/a/b c"], "data.root", "+data.root=/a/b c", "+data.root=ab,c"),
        (["+data.root=../.."], "data.root", "+data.root=../..", "+data.root=...."),
    ],
)
def test_names(job, words, swept, name, file):
    job(*words, swept=swept)
    assert sweeps.job_name() == name
    assert sweeps._as_file_name(name) == file


def test_processes_of_other_ranks_do_one_job(job, monkeypatch):
    """Lightning starts them with the words of this program."""
    job("neuron=adex", "hydra.verbose=false")
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "--config-dir=mine", "neuron=adex,lif", "seed=1"])
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with sweeps._as_single_run():
        assert sys.argv[:3] == ["train.py", "--config-dir=mine", "hydra.verbose=false"]
        assert sys.argv[-1] == "neuron=adex"
        monkeypatch.setenv("LOCAL_RANK", "0")
    assert sys.argv[1] == "-m"
    assert "LOCAL_RANK" not in sweeps.os.environ


@pytest.mark.skipif(
    importlib.util.find_spec("hydra_plugins") is None
    or importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper") is None,
    reason='needs pip install "torchdyn_neuro[sweeps]"',
)
def test_optuna_composes():
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose("train", ["sweep=optuna", "hydra/launcher=submitit_local"], return_hydra_config=True)
    assert config.hydra.sweeper._target_.endswith("OptunaSweeper")
    assert config.hydra.sweeper.params == {"optimizer.lr": "tag(log, interval(1e-4, 1e-1))"}
    assert config.hydra.launcher._target_.endswith("LocalLauncher")
