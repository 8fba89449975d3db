"""A user's own package joins by one key, on the command line and nowhere else."""

import sys

import pytest

from torchdyn_neuro.training import build, run
from torchdyn_neuro.training.trusted import announced, check_trusted

# Lightning and its dependencies warn about their own future.
pytestmark = [pytest.mark.filterwarnings("ignore:::lightning"), pytest.mark.filterwarnings("ignore::FutureWarning")]
OWN = """
import subprocess
from subprocess import Popen
from torch import nn
import torchdyn_neuro as tdn
from torchdyn_neuro.data import Digits

def function(**arguments):
    raise AssertionError("called")

class Halves(Digits):
    def load(self):
        return super().load()

class Net(tdn.Chain):
    def __init__(self, width, input_shape, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, width), tdn.LIF(), nn.Linear(width, classes), tdn.LIF())
"""
SHORT = ["callbacks=minimal", "logger=none", "trainer.max_epochs=1", "trainer.limit_train_batches=1", "calibrate=0"]


@pytest.fixture
def own_lab(tmp_path, monkeypatch):
    folder = tmp_path / "packages"
    (folder / "own_lab").mkdir(parents=True)
    (folder / "own_lab/__init__.py").write_text(OWN)
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("own_lab", None)


def test_a_file_cannot_trust_a_package(composed, own_lab, tmp_path):
    configs = tmp_path / "configs/experiment"
    configs.mkdir(parents=True)
    (configs / "theirs.yaml").write_text("# @package _global_\ntrusted: [own_lab]\ndata:\n  _target_: own_lab.Halves\n")
    config = composed(f"hydra.searchpath=[file://{configs.parent}]", "experiment=theirs", *SHORT)
    with pytest.raises(SystemExit, match=r"add trusted=\[own_lab\] to the command"):
        run(config)
    assert not (tmp_path / "run").exists()
    run(config, ["own_lab"])


@pytest.fixture
def announce(own_lab):
    """Installs a package with an entry point of that value."""

    def install(value):
        info = own_lab / "own_lab-1.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own_lab\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[torchdyn_neuro.trusted]\nlab = {value}\n")
        announced.cache_clear()

    yield install
    announced.cache_clear()


NET = {"_target_": "own_lab.Net", "width": 3, "input_shape": [1, 8, 8], "classes": 2}


def test_an_installed_package_announces_itself(announce):
    with pytest.raises(ValueError, match="which lies outside"):
        build(NET)
    announce("own_lab")
    assert type(build(NET)).__name__ == "Net"
    with pytest.raises(ValueError, match="expected _target_"):
        build({"_target_": "own_lab.function"})
    check_trusted({"trusted": ["own_lab"]}, ())


def test_an_entry_point_that_names_no_package(announce):
    announce("own lab")
    with pytest.raises(ValueError, match=r"expected an entry point of 'torchdyn_neuro.trusted' to name a package, got"):
        build(NET)


@pytest.mark.parametrize(
    ("trusted", "overrides", "message"),
    [
        ((), ["+model.width=3", "model._target_=own_lab.Net"], "model: expected _target_"),
        ((), ["trusted=[own_lab]"], "add trusted=[own_lab] to the command"),
        (("own_lab",), ["model._target_=own_lab.function"], "model: expected _target_"),
        (("own_lab",), ["model._target_=own_lab.Popen"], "model: expected _target_"),
        (("own_lab",), ["model._target_=own_lab.subprocess.Popen"], "model: expected _target_"),
        (("own_lab",), ["model._target_=own_lab.Nothing"], "which does not exist"),
        (("own_labs",), ["model._target_=own_labs.Net"], "cannot be imported"),
        ((), ["trusted=own_lab"], "expected trusted to be a list of packages"),
        ((), ["trusted=['os; x']"], "expected trusted to list names of packages"),
    ],
)
def test_refusals(composed, own_lab, trusted, overrides, message):
    with pytest.raises(SystemExit) as stop:
        run(composed(*overrides), trusted)
    assert message in stop.value.code
