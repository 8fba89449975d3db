"""Checkpoints: tensors and plain values only, written in one piece."""

import os
import pickle
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import CheckpointIO
from torch import nn

from .instantiate import build


class PlainCheckpoints(CheckpointIO):
    """Reads with ``weights_only=True`` and writes atomically: an interrupted write leaves earlier files intact."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

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


def load_model(path: str | os.PathLike) -> nn.Module:
    """The trained network of a checkpoint, in evaluation mode, rebuilt from the configuration inside.

    Example:
        >>> load_model("logs/digits/checkpoints/best.ckpt")  # doctest: +SKIP
    """
    checkpoint = load_checkpoint(path)
    model = build(checkpoint["config"]["model"], "model", **checkpoint["data"])
    prefix = "model."
    weights = {
        name.removeprefix(prefix): value for name, value in checkpoint["state_dict"].items() if name.startswith(prefix)
    }
    model.load_state_dict(weights)
    return model.eval()
