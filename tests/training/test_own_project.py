"""A user who installed the wheel trains with a package of their own, in a folder of their own.

The wheel is built from the source distribution, so that whatever that one lacks is missed here.
"""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import torchdyn_neuro
import torchdyn_neuro as tdn
from torchdyn_neuro.training import load_checkpoint

ROOT = Path(__file__).parents[2]
IN_THE_WHEEL = (
    *("torchdyn_neuro", "configs", "setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"),
    *(path.name for path in ROOT.glob("torchdyn_*.py")),
)
SHORT = [
    "trainer.max_epochs=1", "+trainer.limit_train_batches=1", "+trainer.limit_val_batches=1",
    "+trainer.limit_test_batches=1", "callbacks=minimal", "calibrate=0",
]  # fmt: skip
pytest.importorskip("pip")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the wheel of the source distribution; built from a copy, in which no earlier build is found."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in IN_THE_WHEEL:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    build = [sys.executable, "-c", "from setuptools import build_meta; build_meta.build_sdist('dist')"]
    result = subprocess.run(build, capture_output=True, text=True, cwd=source)
    assert result.returncode == 0, result.stderr
    (archive,) = (source / "dist").glob(f"torchdyn_neuro-{torchdyn_neuro.__version__}.tar.gz")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-compile", "--no-index", "--target", str(target)]
    pip = [sys.executable, "-m", "pip", "install", *options, str(archive)]
    result = subprocess.run(pip, capture_output=True, text=True, cwd=target.parent)
    assert result.returncode == 0, result.stderr
    return target


@pytest.fixture(scope="module")
def train(installed, tmp_path_factory):
    """Runs the command in a copy of the example, which knows nothing of the repository."""
    folder = tmp_path_factory.mktemp("elsewhere") / "own_project"
    shutil.copytree(ROOT / "examples/own_project", folder, ignore=shutil.ignore_patterns("__pycache__"))

    def run(*words):
        command = [sys.executable, str(installed / "bin/torchdyn-train"), *words]
        environment = os.environ | {"PYTHONPATH": str(installed)}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True), folder

    return run


@pytest.mark.timeout(200)
def test_the_command_trains_a_data_set_and_a_network_of_ones_own(train, monkeypatch):
    own = ["data._target_=my_package.Waves", "model._target_=my_package.Wide", "encoder=none"]
    result, folder = train("trusted=[my_package]", *own, "+data.samples=256", *SHORT, "folder=first")
    assert result.returncode == 0, result.stderr
    assert "test accuracy: " in result.stdout
    stored = load_checkpoint(folder / "first/checkpoints/last.ckpt")
    saved = OmegaConf.to_container(OmegaConf.load(folder / "first/config.yaml"))
    assert saved == stored["config"]
    assert saved["data"] == {
        "_target_": "my_package.Waves",
        "batch_size": 64,
        "seed": 0,
        "split_seed": 0,
        "samples": 256,
    }
    assert saved["model"] == {"_target_": "my_package.Wide"}
    # What goes on with the checkpoint alone; whom to trust no file may say.
    assert stored["choices"] == [*own, "+data.samples=256", *SHORT]
    checkpoint = folder / "first/checkpoints/last.ckpt"
    with pytest.raises(ValueError, match=r"name your own package on the command line: trusted=\[PACKAGE\]"):
        tdn.load(checkpoint)
    monkeypatch.syspath_prepend(folder)
    assert type(tdn.load(checkpoint, trusted=["my_package"]).model).__name__ == "Wide"
    sys.modules.pop("my_package")


def test_the_wheel_holds_what_a_checkout_holds(installed):
    def files(folder, kind):
        return {str(path.relative_to(folder)) for path in folder.rglob(kind)}

    assert files(installed / "torchdyn_neuro/configs", "*.yaml") == files(ROOT / "configs", "*.yaml")
    for kind in ("*.py", "*.h", "py.typed"):
        assert files(installed / "torchdyn_neuro", kind) == files(ROOT / "torchdyn_neuro", kind)


def test_the_wheel_holds_the_commands_and_the_licence(installed):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {path.name for path in (installed / "bin").iterdir()} >= set(project["scripts"])
    for target in project["scripts"].values():
        module, function = target.split(":")
        tree = ast.parse((installed / f"{module.replace('.', '/')}.py").read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    (described,) = installed.glob("torchdyn_neuro-*.dist-info")
    told = (described / "METADATA").read_text()
    assert f"Version: {torchdyn_neuro.__version__}\n" in told
    assert {f"Provides-Extra: {name}" for name in project["optional-dependencies"]} <= set(told.splitlines())
    assert (described / "licenses/LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_version_is_said_once():
    """The changelog and the citation name the version of the package."""
    version = torchdyn_neuro.__version__
    assert (ROOT / "CHANGELOG.md").read_text().startswith(f"# Changelog\n\n## {version} ")
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_a_mistake_on_the_command_line_loads_no_torch(train):
    result, folder = train("model.hiden=3")
    assert result.returncode == 1
    assert result.stderr.startswith("error: Could not override 'model.hiden'")
    assert "Traceback" not in result.stderr
    assert not (folder / "logs").exists()
