"""The closed list of what a configuration may build."""

import importlib
import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import Strategy
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..core.constrained import Learned
from ..core.integrator import Integrator
from ..core.surrogate import Surrogate
from ..layers.population import Population
from .parameter_groups import ParameterGroup
from .schedules import Schedule
from .trusted import announced

OWN_PACKAGE = "torchdyn_neuro"

LIGHTNING = "lightning.pytorch"


class Kind(NamedTuple):
    """Classes that may be built: those of a base, defined inside some packages, and with certain names if given."""

    base: type
    packages: tuple[str, ...]
    names: frozenset[str] | None = None

    def holds(self, found: type) -> bool:
        """Whether a class is of this kind."""
        return (
            issubclass(found, self.base)
            and any(inside(found.__module__, package) for package in self.packages)
            and (self.names is None or found.__name__ in self.names)
        )


MODEL_KINDS = (
    Kind(nn.Module, (OWN_PACKAGE, "torch.nn.modules")),
    Kind(Learned, (OWN_PACKAGE,)),
    Kind(Integrator, (OWN_PACKAGE,)),
    Kind(Surrogate, (OWN_PACKAGE,)),
    Kind(Population, (OWN_PACKAGE,)),
)
"""What a model consists of: all that a checkpoint may ask for."""

KINDS = (
    *MODEL_KINDS,
    Kind(Optimizer, ("torch.optim",)),
    Kind(LRScheduler, ("torch.optim",)),
    Kind(Schedule, (OWN_PACKAGE,)),
    Kind(ParameterGroup, (OWN_PACKAGE,)),
    Kind(LightningDataModule, (OWN_PACKAGE,)),
    Kind(Callback, (OWN_PACKAGE,)),
    # Of Lightning by name: others write where they are told to, start programs, or speak to servers.
    Kind(Trainer, (LIGHTNING,), frozenset({"Trainer"})),
    Kind(Strategy, (LIGHTNING,), frozenset({"DDPStrategy", "FSDPStrategy"})),
    Kind(Logger, (LIGHTNING,), frozenset({"CSVLogger", "TensorBoardLogger"})),
    Kind(Profiler, (LIGHTNING,), frozenset({"AdvancedProfiler", "PyTorchProfiler", "SimpleProfiler"})),
    Kind(
        Callback,
        (LIGHTNING,),
        frozenset(
            {
                "DeviceStatsMonitor",
                "EMAWeightAveraging",
                "EarlyStopping",
                "GradientAccumulationScheduler",
                "LearningRateMonitor",
                "ModelCheckpoint",
                "ModelSummary",
                "RichModelSummary",
                "RichProgressBar",
                "StochasticWeightAveraging",
                "TQDMProgressBar",
                "Timer",
            }
        ),
    ),
)
"""All that a configuration on the user's own machine may ask for."""


def inside(name: str, package: str) -> bool:
    """Whether a dotted name is that of a package or of something in it.

    Example:
        >>> inside("torch.nn.modules.linear", "torch.nn"), inside("torch.nnx", "torch.nn")
        (True, False)
    """
    return name == package or name.startswith(f"{package}.")


def resolve(target: Any, where: str = "config", *, trusted: Sequence[str] = (), kinds: Sequence[Kind] = KINDS) -> type:
    """The class that a dotted path names, if it is of an allowed kind.

    What decides is the class and where it is defined, not the path that leads to it. No function is ever called, and no
    module is imported but of the packages that hold the kinds.

    Args:
        target: a dotted path.
        where: name of the place in messages.
        trusted: further packages, every public class of which may be built; those that are installed and announce
            themselves (:mod:`.trusted`) are added.
        kinds: what may be built besides.

    Raises:
        ValueError: if it names anything else.
    """
    listed = f"a class of {OWN_PACKAGE}, torch.nn, torch.optim or Lightning that is a part of a model or a training"
    refusal = f"{where}: expected _target_ to name {listed}, got {target!r}"
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")) or "." not in target:
        raise ValueError(f"{refusal}; write a dotted path")
    path, _, name = target.rpartition(".")
    trusted = (*trusted, *announced())
    packages = {package for kind in kinds for package in kind.packages} | {"torch.nn"} | set(trusted)
    # Importing a module runs it.
    if not any(inside(path, package) for package in packages):
        raise ValueError(f"{refusal}, which lies outside; name your own package on the command line: trusted=[PACKAGE]")
    try:
        found = getattr(importlib.import_module(path), name, None)
    except ImportError as error:
        raise ValueError(f"{refusal}, which cannot be imported ({error}); check the spelling") from error
    if found is None:
        raise ValueError(f"{refusal}, which does not exist; check the spelling")
    if not _allowed(found, trusted, kinds):
        described = f"{type(found).__name__} of {getattr(found, '__module__', None) or 'no module'}"
        raise ValueError(f"{refusal}, a {described}; choose another one")
    return found


def _allowed(found: Any, trusted: Sequence[str], kinds: Sequence[Kind]) -> bool:
    if not inspect.isclass(found) or found.__name__.startswith("_"):
        return False
    return any(inside(found.__module__, package) for package in trusted) or any(kind.holds(found) for kind in kinds)
