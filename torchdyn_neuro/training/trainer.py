"""The trainer of a run, with what it calls and where it logs."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import Profiler

from .checkpoints import PlainCheckpoints
from .folders import check_inside
from .instantiate import build
from .kinds import OWN_PACKAGE, inside


def make_trainer(
    config: dict[str, Any],
    folder: Path,
    data: LightningDataModule,
    trusted: Sequence[str] = (),
    more: Sequence[Callback] = (),
) -> Trainer:
    """The trainer with its loggers, its callbacks and ``more`` of them, its profiler and its checkpoints."""
    callbacks: list[Callback] = [
        *(build(part, f"callbacks.{name}", trusted=trusted) for name, part in config["callbacks"].items() if part),
        *more,
    ]
    loggers: list[Logger] = [
        build(part, f"logger.{name}", extra={"save_dir": str(folder)}, trusted=trusted)
        for name, part in config["logger"].items()
        if part
    ]
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint):
            if callback.dirpath is None:
                callback.dirpath = str(folder / "checkpoints")
            check_inside(folder, Path(callback.dirpath) / (callback.filename or "last"), "a checkpoint's dirpath")
    for logger in loggers:
        check_inside(folder, Path(logger.log_dir or folder), "a logger's name and version")
    place = {"dirpath": str(folder), "filename": "profile"}
    profiler: Profiler | None = build(config["profiler"], "profiler", extra=place, trusted=trusted)
    return build(
        config["trainer"],
        "trainer",
        extra={
            "callbacks": callbacks,
            "logger": loggers or False,
            "plugins": [PlainCheckpoints()],
            "default_root_dir": str(folder),
            "use_distributed_sampler": not shares_batches(data),
            **({} if profiler is None else {"profiler": profiler}),
        },
        trusted=trusted,
    )


MEASURES = tuple(f"{stage}/{name}" for stage in ("train", "val", "test") for name in ("loss", "accuracy"))
"""What every run measures; its callbacks may add others, under names of their own."""


def check_monitors(trainer: Trainer, objective: str | None = None) -> None:
    """Raise if a callback, or the objective of a sweep, waits for a measure that is none but looks like one.

    Args:
        trainer: with its callbacks.
        objective: what a sweep optimises.
    """
    watched = {type(each).__name__: getattr(each, "monitor", None) for each in trainer.callbacks}
    for owner, name in (*watched.items(), ("objective", objective)):
        if name is None or name in MEASURES:
            continue
        stage = name.partition("/")[0] in ("train", "val", "test")
        near = difflib.get_close_matches(name, MEASURES, len(MEASURES), cutoff=0.6)
        if stage or near:
            raise ValueError(
                f"{owner}: expected the name of a measure, got {name!r}; write one of {', '.join(near or MEASURES)}"
            )


def shares_batches(data: LightningDataModule) -> bool:
    """Whether data know how to share their batches among processes, as those of this package do."""
    return any(inside(base.__module__, OWN_PACKAGE) for base in type(data).__mro__)
