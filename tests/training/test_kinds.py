"""A configuration builds what is on the closed list of kinds, and nothing else."""

import importlib
import inspect
import os
import pkgutil
import re
import sys
import warnings
from pathlib import Path

import lightning.pytorch
import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule
from torch import nn

import torchdyn_neuro as tdn
from torchdyn_neuro.core.integrator import Integrator
from torchdyn_neuro.core.surrogate import Surrogate
from torchdyn_neuro.layers import Population
from torchdyn_neuro.training import ParameterGroup, build, check_targets
from torchdyn_neuro.training.schedules import Schedule

OURS = (
    *(nn.Module, Integrator, Surrogate, Population, tdn.Learned, Schedule, ParameterGroup),
    *(LightningDataModule, Callback),
)
OF_LIGHTNING = {
    "AdvancedProfiler", "CSVLogger", "DDPStrategy", "DeviceStatsMonitor", "EMAWeightAveraging", "EarlyStopping",
    "FSDPStrategy", "GradientAccumulationScheduler", "LearningRateMonitor", "ModelCheckpoint", "ModelSummary",
    "PyTorchProfiler", "RichModelSummary", "RichProgressBar", "SimpleProfiler", "StochasticWeightAveraging",
    "TQDMProgressBar", "TensorBoardLogger", "Timer", "Trainer",
}  # fmt: skip
ROOTS = ("torchdyn_neuro", "torch", "lightning")
WALKED = (tdn, torch.nn, torch.optim, lightning.pytorch)
"""The packages whose modules a configuration can make Python import; of the others, what is loaded is tried."""


def within(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def is_listed(found):
    """The rule, in other words than those of the package."""
    if not inspect.isclass(found) or found.__name__.startswith("_"):
        return False
    module = found.__module__
    if within(module, "torchdyn_neuro"):
        return issubclass(found, OURS)
    if within(module, "torch.nn.modules"):
        return issubclass(found, nn.Module)
    if within(module, "torch.optim"):
        return issubclass(found, (torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler))
    return within(module, "lightning.pytorch") and found.__name__ in OF_LIGHTNING


def everything():
    """Paths and objects: all functions and classes of torch, Lightning and this package, wherever they show up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for package in WALKED:
            for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda name: None):
                try:
                    importlib.import_module(module.name)
                except Exception:
                    continue  # parts of torch and Lightning need what is not installed
        for name, module in sorted(sys.modules.items()):
            if inspect.ismodule(module) and within(name, *ROOTS):
                for key, found in list(vars(module).items()):
                    if callable(found):
                        yield f"{name}.{key}", found


def accepts(target, check=check_targets):
    try:
        check({"_target_": target})
    except ValueError:
        return False
    return True


def test_only_the_listed_kinds_build():
    tried, wrong = 0, []
    for path, found in everything():
        if path.rpartition(".")[2].startswith("__"):
            continue
        tried += 1
        accepted = accepts(path)
        if accepted and not is_listed(found):
            wrong.append(path)
        home = f"{getattr(found, '__module__', '')}.{getattr(found, '__name__', '')}"
        # Where a listed class is defined, or handed out by its package, it can be named.
        if not accepted and is_listed(found) and path == home and within(path, "torchdyn_neuro", "torch.nn.modules"):
            wrong.append(path)
    assert not wrong
    assert tried > 20_000


EVENTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "ctypes.dlopen", "socket.connect", "os.remove")


def test_no_listed_class_acts_when_it_is_built(monkeypatch, tmp_path):
    """Without arguments, or with a path for each: nothing is started, loaded, written or deleted."""
    monkeypatch.chdir(tmp_path)
    seen, watching = [], [False]

    def note(event, arguments):
        if watching[0] and (event in EVENTS or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))):
            seen.append((event, arguments[0]))

    sys.addaudithook(note)  # it stays, and sleeps after the test
    classes = {found for path, found in everything() if is_listed(found) and accepts(path)}
    assert len(classes) > 150
    built = 0
    for kind in classes:
        needed = {
            name: str(tmp_path / "planted.pt")
            for name, parameter in inspect.signature(kind).parameters.items()
            if parameter.default is inspect.Parameter.empty and parameter.kind < inspect.Parameter.VAR_POSITIONAL
        }
        for arguments in ({}, needed):
            # Only what a configuration can do counts, not what a class of torch says about it.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                watching[0] = True
                try:
                    kind(**arguments)
                    built += 1
                except Exception:
                    continue
                finally:
                    watching[0] = False
    # The trainer asks which GPUs there are.
    harmless = ("/dev/", "/proc/", "libnvidia-ml")
    assert not [entry for entry in seen if not str(entry[1]).startswith(harmless)]
    assert not list(tmp_path.iterdir())
    assert built > 100


HOSTILE = [
    "torchdyn_neuro.native.compiler.load_library",
    "torchdyn_neuro.training.PlainCheckpoints",
    "torchdyn_neuro.training.checkpoints.PlainCheckpoints.remove_checkpoint",
    "torchdyn_neuro.inference.load",
    "torchdyn_neuro.training.run",
    "torchdyn_neuro.training.run.run",
    "torchdyn_neuro.LIF.scan",
    "torchdyn_neuro.LIF.__init__",
    "torchdyn_neuro.LIF.load_state_dict",
    "torchdyn_neuro.calibrate",
    "torch.nn.Module.apply",
    "torch.nn.modules.module.torch.load",
    "torch.nn.modules.container.Sequential.__class__",
    "torch.utils.cpp_extension.load_inline",
    "torch.jit.load",
    "torch.ops.load_library",
    "torch.classes.load_library",
    "lightning.pytorch.Trainer.fit",
    "lightning.pytorch.LightningModule.load_from_checkpoint",
    "lightning.pytorch.callbacks.OnExceptionCheckpoint",
    "lightning.pytorch.callbacks.LambdaCallback",
    "lightning.pytorch.loggers.WandbLogger",
    "lightning.pytorch.strategies.DeepSpeedStrategy",
    "lightning.pytorch.cli.LightningCLI",
    "hydra.utils.call",
    "hydra.utils.instantiate",
    "hydra.utils.get_method",
    "torchvision.datasets.DatasetFolder",
    "omegaconf.OmegaConf.load",
    "LIF",
    ".LIF",
    "",
]


@pytest.mark.parametrize("target", HOSTILE)
@pytest.mark.parametrize("place", ["alone", "argument", "list", "partial"])
def test_hostile_targets(target, place):
    inner = {"_target_": target}
    config = {
        "alone": inner,
        "argument": {"_target_": "torchdyn_neuro.LIF", "surrogate": inner},
        "list": {"_target_": "torch.nn.Sequential", "modules": [[inner]]},
        "partial": {**inner, "_partial_": True},
    }[place]
    with pytest.raises(ValueError, match=r"expected _target_ to name a class of .*; "):
        build(config)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"_args_": [3, 4]}, "expected arguments by name, got _args_"),
        ({"_recursive_": False}, "got _recursive_"),
        ({"_convert_": "all"}, "got _convert_"),
        ({"_partial_": "torch.load"}, "expected _partial_ to be true or false"),
        ({"_partial_": 1}, "expected _partial_ to be true or false"),
    ],
)
def test_words_of_hydra(words, message):
    with pytest.raises(ValueError, match=message):
        build({"_target_": "torch.nn.Linear", "in_features": 3, "out_features": 4, **words})
    with pytest.raises(ValueError, match=message):
        build({"nested": words})


def checkpoint_with(tmp_path, model, data=None):
    content = {"state_dict": {}, "config": {"model": model, "trusted": ["subprocess"]}, "data": data}
    torch.save(content, tmp_path / "a.ckpt")
    return tmp_path / "a.ckpt"


@pytest.mark.parametrize(
    "target",
    [*HOSTILE, "subprocess.Popen", "torchdyn_neuro.data.Digits", "lightning.pytorch.Trainer", "torch.optim.SGD"],
)
def test_a_checkpoint_builds_parts_of_models_only(tmp_path, target):
    shape = {"input_shape": [1], "classes": 2}
    with pytest.raises(ValueError, match="expected _target_"):
        tdn.load(checkpoint_with(tmp_path, {"_target_": target}, shape))


def test_a_checkpoint_cannot_trust_itself(tmp_path):
    shape = {"input_shape": [1], "classes": 2, "trusted": ["subprocess"], "kinds": [], "where": "x"}
    with pytest.raises(ValueError, match="expected _target_"):
        tdn.load(checkpoint_with(tmp_path, {"_target_": "subprocess.Popen", "args": "true"}, shape))
    with pytest.raises(ValueError, match="expected the configuration of a classifier"):
        tdn.load(checkpoint_with(tmp_path, {"_target_": "torch.nn.Identity"}, {"classes": 2}))


def test_every_target_of_the_configurations_is_listed():
    configs = Path(__file__).parents[2] / "configs"
    targets = {
        found for path in configs.rglob("*.yaml") for found in re.findall(r"_target_: ([\w.]+)", path.read_text())
    }
    assert len(targets) > 50
    # Hydra makes this one of its own part of the configuration, which no checkpoint holds.
    assert [target for target in targets if not accepts(target)] == ["torchdyn_train.Sweep"]
