"""One training run, from its configuration to the test accuracy."""

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..activity import calibrate, check
from ..core.context import padded
from .callbacks.votes import VOTE
from .checkpoints import load_checkpoint, sweep
from .choices import check_choices, choices_of_command, chosen_keys
from .classification import Classification
from .described import log_config, log_result
from .folders import SWEEP_VARIABLE, make_folder
from .instantiate import build, check_targets
from .interruption import Interruption
from .quiet import quieten
from .resume import Renewal, check_loadable
from .samples import check_step, facts, first_samples
from .settings import check_settings, without_foreign_arguments
from .trainer import check_monitors, make_trainer
from .trusted import check_trusted

MISTAKES = (ValueError, TypeError, OSError, RuntimeError, OmegaConfBaseException, MisconfigurationException)
"""What a wrong configuration or wrong data raise."""


class Result(NamedTuple):
    """accuracy: on the test data; objective: what a sweep optimises, if asked for; folder: of the run."""

    accuracy: float
    objective: float | None
    folder: Path


def run(config: DictConfig, trusted: Sequence[str] = ()) -> float:
    """Train, test, and print the test accuracy, the best checkpoint and the command that shows the logs.

    Args:
        config: the composed configuration, see ``configs/train.yaml``.
        trusted: your own packages, from which the configuration may build too; ``trusted=[PACKAGE]`` on the command
            line of ``train.py``. Packages that are installed and announce themselves are added.

    Returns:
        The test accuracy.

    Raises:
        SystemExit: with a one-line message, for every mistake in configuration or data; ``debug=traceback`` lets the
            exception through instead. With status 130 or 143 after SIGINT or SIGTERM, and the command that goes on.
    """
    # A process of another rank does what the one does that started it, a job of a sweep if it is one.
    return result_of(config, trusted, judged=SWEEP_VARIABLE in os.environ).accuracy


def result_of(config: DictConfig, trusted: Sequence[str] = (), *, judged: bool = False) -> Result:
    """As :func:`run`, with all that comes of it; ``judged`` asks for the objective."""
    interruption = Interruption()
    try:
        with interruption.watching():
            return _run(config, trusted, interruption, judged)
    except BaseException as error:
        # Whatever follows from a signal, inside of Lightning for example, is not what the user needs to read.
        if interruption.signum is not None:
            interruption.explain()
            raise SystemExit(interruption.status) from error
        if config.get("traceback") or not isinstance(error, MISTAKES):
            raise
        raise SystemExit(f"error: {' '.join(str(error).split())}") from error


def _run(config: DictConfig, trusted: Sequence[str], interruption: Interruption, judged: bool) -> Result:
    plain = OmegaConf.to_container(config, resolve=True)
    check_trusted(plain, trusted)
    check_targets(plain, trusted=trusted)
    plain = without_foreign_arguments(check_settings(plain), chosen_keys(), trusted)
    resume = plain["checkpoint"]
    before = None if resume is None else load_checkpoint(resume)
    if before is not None:
        check_choices(before, plain, resume, trusted)
    quieten()
    seed_everything(plain["seed"], workers=True, verbose=False)
    if plain["threads"]:
        torch.set_num_threads(plain["threads"])
    part = functools.partial(build, trusted=trusted)
    data: LightningDataModule = part(plain["data"], "data")
    check_step(data, plain["dt"])
    encoder, loss = part(plain["encoder"], "encoder"), part(plain["loss"], "loss")
    known = facts(data, encoded=encoder is not None)
    # An encoder of the user's own need not know how.
    frame_shape = getattr(encoder, "frame_shape", tuple)
    shape = {"input_shape": list(frame_shape(known.shape)), "classes": known.classes}
    names = {"names": list(known.names)} if known.names else {}
    task = Classification(
        part(plain["model"], "model", extra=shape),
        known.classes,
        loss=loss,
        penalties=part(plain["penalty"], "penalty"),
        learning=part(plain["learning"], "learning"),
        encoder=encoder,
        optimizer=part(plain["optimizer"], "optimizer"),
        groups=part(plain["groups"], "groups"),
        scheduler=part(plain["scheduler"], "scheduler"),
        config={"config": plain, "data": shape | names, "choices": choices_of_command()},
    )
    check(task)
    more: list[Callback] = [interruption]
    if before is not None:
        check_loadable(task, before, plain, resume)
        more.append(Renewal(before["config"], plain))
    data.prepare_data()
    data.setup("fit")
    samples, lengths = first_samples(data, known, encoded=encoder is not None)
    folder = make_folder(plain["folder"])
    trainer = make_trainer(plain, folder, data, trusted, more)
    check_monitors(trainer, plain["objective"] if judged else None)
    if trainer.is_global_zero:
        OmegaConf.save(OmegaConf.create(plain), folder / "config.yaml")
        for checkpoints in [*folder.parent.glob("*/checkpoints"), *([Path(resume).parent] if resume else [])]:
            sweep(checkpoints)
    interruption.folder = folder
    if plain["calibrate"] and resume is None:
        # A model of the user's own need not know how.
        scale = getattr(task.model, "calibrate", functools.partial(calibrate, task.model))
        with padded(lengths):
            scale(task.encode(samples, lengths), rate=plain["calibrate"])
    log_config(trainer, plain, chosen_keys())
    trainer.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
    best = trainer.checkpoint_callback.best_model_path if trainer.checkpoint_callback else ""
    measured = dict(trainer.callback_metrics)
    results = trainer.test(task, datamodule=data, ckpt_path=best or None, weights_only=True, verbose=False)
    accuracy = results[0]["test/accuracy"]
    if trainer.is_global_zero:
        log_result(trainer, plain, chosen_keys(), accuracy)
        print(f"test accuracy: {accuracy:.4f}")
        if VOTE in results[0]:
            print(f"by a vote: {results[0][VOTE]:.4f}")
        print(f"checkpoint: {best or 'none'}")
        boards = any(isinstance(logger, TensorBoardLogger) for logger in trainer.loggers)
        print(f"tensorboard --logdir {folder}" if boards else f"folder: {folder}", flush=True)
    objective = _objective(trainer, task, data, plain["objective"], measured, best) if judged else None
    return Result(accuracy, objective, folder)


def _objective(
    trainer: Trainer,
    task: Classification,
    data: LightningDataModule,
    name: str,
    measured: Mapping[str, Any],
    best: str,
) -> float:
    """What a sweep optimises: of the best model for what is measured on validation data, else of the last epoch."""
    if name not in measured:
        raise ValueError(
            f"train: expected objective to be a measure of this run, got {name!r}; it has {', '.join(sorted(measured))}"
        )
    if best and name.startswith("val/"):
        # It is logged already, at its epoch.
        trainer.loggers = []
        [measured] = trainer.validate(task, datamodule=data, ckpt_path=best, weights_only=True, verbose=False)
    return float(measured[name])
