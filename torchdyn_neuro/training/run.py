"""One training run, from its configuration to the test accuracy."""

import errno
import functools
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..activity import calibrate, check
from ..core.checks import positive_number
from .checkpoints import PlainCheckpoints, load_checkpoint, sweep
from .choices import check_choices, choices_of_command
from .classification import Classification
from .instantiate import build, check_targets
from .interruption import Interruption
from .resume import Renewal, check_loadable
from .trusted import check_trusted

MISTAKES = (ValueError, TypeError, OSError, RuntimeError, OmegaConfBaseException, MisconfigurationException)
"""What a wrong configuration or wrong data raise."""

# Processes that Lightning starts for other ranks inherit the environment, and with it the folder of the run.
FOLDER_VARIABLE = "TORCHDYN_NEURO_RUN_FOLDER"


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
    interruption = Interruption()
    try:
        with interruption.watching():
            return _run(config, trusted, interruption)
    except BaseException as error:
        # Whatever follows from a signal, inside of Lightning for example, is not what the user needs to read.
        if interruption.signum is not None:
            interruption.explain()
            raise SystemExit(interruption.status) from error
        if config.get("traceback") or not isinstance(error, MISTAKES):
            raise
        raise SystemExit(f"error: {' '.join(str(error).split())}") from error


def _run(config: DictConfig, trusted: Sequence[str], interruption: Interruption) -> float:
    plain = OmegaConf.to_container(config, resolve=True)
    check_trusted(plain, trusted)
    check_targets(plain, trusted=trusted)
    _check_settings(plain)
    resume = plain["checkpoint"]
    before = None if resume is None else load_checkpoint(resume)
    if before is not None:
        check_choices(before, plain, resume)
    _quieten()
    seed_everything(plain["seed"], workers=True, verbose=False)
    if plain["threads"]:
        torch.set_num_threads(plain["threads"])
    part = functools.partial(build, trusted=trusted)
    data: LightningDataModule = part(plain["data"], "data")
    encoder, loss = part(plain["encoder"], "encoder"), part(plain["loss"], "loss")
    shape = {"input_shape": list(data.shape), "classes": data.classes}
    model = part(plain["model"], "model", extra=shape)
    task = Classification(
        model,
        data.classes,
        loss=loss,
        learning=part(plain["learning"], "learning"),
        encoder=encoder,
        optimizer=part(plain["optimizer"], "optimizer"),
        scheduler=part(plain["scheduler"], "scheduler"),
        config={"config": plain, "data": shape, "choices": choices_of_command()},
    )
    check(task)
    more: list[Callback] = [interruption]
    if before is not None:
        check_loadable(task, before, plain, resume)
        more.append(Renewal(before["config"], plain))
    data.prepare_data()
    data.setup("fit")
    folder = make_folder(plain["folder"])
    trainer = make_trainer(plain, folder, trusted, more)
    if trainer.is_global_zero:
        OmegaConf.save(OmegaConf.create(plain), folder / "config.yaml")
        for checkpoints in [*folder.parent.glob("*/checkpoints"), *([Path(resume).parent] if resume else [])]:
            sweep(checkpoints)
    interruption.folder = folder
    if plain["calibrate"] and resume is None:
        samples = data.splits["train"].images[:128]
        # A model of the user's own need not know how.
        scale = getattr(task.model, "calibrate", functools.partial(calibrate, task.model))
        scale(task.encode(samples), rate=plain["calibrate"])
    _log_config(trainer, plain)
    trainer.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
    best = trainer.checkpoint_callback.best_model_path if trainer.checkpoint_callback else ""
    results = trainer.test(task, datamodule=data, ckpt_path=best or None, weights_only=True, verbose=False)
    accuracy = results[0]["test/accuracy"]
    if trainer.is_global_zero:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(_flat(plain), {"hparams/test_accuracy": accuracy})
                logger.finalize("success")
        print(f"test accuracy: {accuracy:.4f}")
        print(f"checkpoint: {best or 'none'}")
        print(f"tensorboard --logdir {folder}", flush=True)
    return accuracy


def _check_settings(config: dict[str, Any]) -> None:
    """Raise, naming the key, unless the numbers that no part checks are usable."""
    positive_number("train", "calibrate", config["calibrate"], zero=True, unit="Hz")
    for key, most in (("seed", 2**32 - 1), ("threads", 4096)):
        value = config[key]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise ValueError(
                f"train: expected {key} to be an integer from 0 to {most}, got {value!r}; set it with {key}=..."
            )


def make_folder(wanted: str) -> Path:
    """Create a folder that no other run has, and make sure that files can be written into it.

    Where there is one of that name already, of a run that began in the same second for example, a number is added.
    """
    if "LOCAL_RANK" in os.environ and FOLDER_VARIABLE in os.environ:
        return Path(os.environ[FOLDER_VARIABLE])
    folder = Path(wanted)
    try:
        folder = _new_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"run: expected a folder to write logs into, got {str(folder)!r} ({error.strerror}); "
            "set another one with folder=..."
        ) from error
    os.environ[FOLDER_VARIABLE] = str(folder)
    return folder


def _new_folder(wanted: Path) -> Path:
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if wanted.exists() and not wanted.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    folder, number = wanted, 1
    while True:
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")
        else:
            return folder


def make_trainer(
    config: dict[str, Any], folder: Path, trusted: Sequence[str] = (), more: Sequence[Callback] = ()
) -> Trainer:
    """The trainer with its loggers, its callbacks and ``more`` of them, and its checkpoints."""
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
            _check_inside(folder, Path(callback.dirpath) / (callback.filename or "last"), "a checkpoint's dirpath")
    for logger in loggers:
        _check_inside(folder, Path(logger.log_dir or folder), "a logger's name and version")
    return build(
        config["trainer"],
        "trainer",
        extra={
            "callbacks": callbacks,
            "logger": loggers or False,
            "plugins": [PlainCheckpoints()],
            "default_root_dir": str(folder),
            # The data know how to share their batches among processes.
            "use_distributed_sampler": False,
        },
        trusted=trusted,
    )


def _check_inside(folder: Path, path: Path, setting: str) -> None:
    """Raise ``ValueError`` if something would be written outside the folder of the run."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"train: expected {setting} to stay in the run's folder {str(folder)!r}, got {str(path)!r}; leave it out, "
            "or set folder="
        )


def _log_config(trainer: Trainer, config: dict[str, Any]) -> None:
    rows = [f"| {key} | {str(value).replace('|', '/')} |" for key, value in _flat(config).items()]
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
            logger.experiment.add_text("config", "\n".join(["| key | value |", "|---|---|", *rows]))


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots; values that TensorBoard can show."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return flat


def _quieten() -> None:
    """Silence hints of Lightning that do not apply: the data are tensors in memory and need no workers."""
    import logging

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*logging interval.*",
        ".*IterableDataset.*",
        ".*LeafSpec.*",
        ".*dirpath has changed.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    if not sys.stdout.isatty():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"lightning\..*")
