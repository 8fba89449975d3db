"""One training run, from its configuration to the test accuracy."""

import errno
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..activity import check
from .checkpoints import PlainCheckpoints, load_checkpoint
from .classification import Classification
from .instantiate import build, check_targets

# Processes that Lightning starts for other ranks inherit the environment, and with it the folder of the run.
FOLDER_VARIABLE = "TORCHDYN_NEURO_RUN_FOLDER"


def run(config: DictConfig) -> float:
    """Train, test, and print the test accuracy, the best checkpoint and the command that shows the logs.

    Args:
        config: the composed configuration, see ``configs/train.yaml``.

    Returns:
        The test accuracy.

    Raises:
        SystemExit: with a one-line message, for every mistake in configuration or data; ``debug=traceback`` lets the
            exception through instead.
    """
    if config.get("traceback"):
        return _run(config)
    try:
        return _run(config)
    except (ValueError, TypeError, OSError, RuntimeError, OmegaConfBaseException, MisconfigurationException) as error:
        message = " ".join(str(error).split())
        raise SystemExit(f"error: {message}") from error


def _run(config: DictConfig) -> float:
    plain = OmegaConf.to_container(config, resolve=True)
    check_targets(plain)
    _quieten()
    seed_everything(plain["seed"], workers=True, verbose=False)
    if plain["threads"]:
        torch.set_num_threads(plain["threads"])
    data: LightningDataModule = build(plain["data"], "data")
    encoder, loss = build(plain["encoder"], "encoder"), build(plain["loss"], "loss")
    shape = {"input_shape": list(data.shape), "classes": data.classes}
    model = build(plain["model"], "model", **shape)
    task = Classification(
        model,
        data.classes,
        loss=loss,
        encoder=encoder,
        optimizer=build(plain["optimizer"], "optimizer"),
        scheduler=build(plain["scheduler"], "scheduler"),
        config={"config": plain, "data": shape},
    )
    check(task)
    resume = plain["checkpoint"]
    if resume is not None:
        load_checkpoint(resume)
    data.prepare_data()
    data.setup("fit")
    folder = make_folder(plain["folder"])
    trainer = make_trainer(plain, folder)
    if plain["calibrate"] and resume is None:
        samples = data.splits["train"].images[:128]
        task.model.calibrate(task.encode(samples), plain["calibrate"])
    _log_config(trainer, plain)
    trainer.fit(task, datamodule=data, ckpt_path=resume, weights_only=True)
    if trainer.interrupted:
        raise SystemExit(f"interrupted; to go on, add to the same command: checkpoint={folder}/checkpoints/last.ckpt")
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


def make_trainer(config: dict[str, Any], folder: Path) -> Trainer:
    """The trainer with its loggers, callbacks and checkpoints."""
    callbacks: list[Callback] = [build(part, f"callbacks.{name}") for name, part in config["callbacks"].items() if part]
    loggers: list[Logger] = [
        build(part, f"logger.{name}", save_dir=str(folder)) for name, part in config["logger"].items() if part
    ]
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = str(folder / "checkpoints")
    return build(
        config["trainer"],
        "trainer",
        callbacks=callbacks,
        logger=loggers or False,
        plugins=[PlainCheckpoints()],
        default_root_dir=str(folder),
        # The data know how to share their batches among processes.
        use_distributed_sampler=False,
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
    for message in (".*does not have many workers.*", ".*logging interval.*", ".*IterableDataset.*", ".*LeafSpec.*"):
        warnings.filterwarnings("ignore", message=message)
    if not sys.stdout.isatty():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"lightning\..*")
