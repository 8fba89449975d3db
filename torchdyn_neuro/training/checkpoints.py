"""Checkpoints: tensors and plain values only, written in one piece."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import CheckpointIO

DATA_KEYS = ("input_shape", "classes")
"""What a model is told about its data."""


LEFTOVERS = ".*.ckpt.*"
"""Files that a killed process has not finished."""


def replacing(target: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` make a file, and put it in the place of ``target`` when it is complete.

    The unfinished file has one name for each target, so that those of killed runs do not add up, and it may be swept
    away at any time: then it is written again.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    while True:
        try:
            write(temporary)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        try:
            os.replace(temporary, target)
        except FileNotFoundError:
            if not target.parent.is_dir():
                raise
        else:
            return


def sweep(folder: Path) -> None:
    """Remove from a folder of checkpoints what killed runs have left unfinished."""
    for leftover in folder.glob(LEFTOVERS):
        leftover.unlink(missing_ok=True)


class PlainCheckpoints(CheckpointIO):
    """Reads with ``weights_only=True`` and writes atomically: an interrupted write leaves earlier files intact."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())

        replacing(target, write)

    def load_checkpoint(
        self, path: str | os.PathLike, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        return load_checkpoint(path, map_location or "cpu")

    def remove_checkpoint(self, path: str | os.PathLike) -> None:
        Path(path).unlink(missing_ok=True)


def load_checkpoint(path: str | os.PathLike, map_location: Any = "cpu") -> dict[str, Any]:
    """The contents of a checkpoint; nothing in the file is executed.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, or holds anything but tensors and plain values.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"load_checkpoint: expected a checkpoint, found no file {str(path)!r}; check the path")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"load_checkpoint: expected a complete checkpoint, got {str(path)!r}, which is truncated or no checkpoint; "
            "use an earlier one"
        )
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"load_checkpoint: expected tensors and plain values, got {str(path)!r}, which holds other objects that "
            "would run code when loaded; do not trust this file"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise ValueError(
            f"load_checkpoint: expected a complete checkpoint, got {str(path)!r}, which is damaged; use an earlier one"
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "config"} <= checkpoint.keys():
        raise ValueError(
            f"load_checkpoint: expected a checkpoint written by train.py, got {str(path)!r} without weights and "
            "configuration; use one from a run's folder"
        )
    return checkpoint
