"""What the commands that ask a trained classifier share."""

import argparse
import os
import sys
from collections.abc import Callable

import torch
from lightning.pytorch import LightningDataModule

from ..training import Classification, build
from ..training.kinds import MODEL_KINDS, OWN_PACKAGE, Kind
from .weights import load

MISTAKES = (ValueError, TypeError, OSError, RuntimeError, ImportError)
DATA_KINDS = (*MODEL_KINDS, Kind(LightningDataModule, (OWN_PACKAGE,)))


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """The arguments that all commands take."""
    made = argparse.ArgumentParser(
        prog=name, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("checkpoint", help="of a run, .ckpt, or what tdn.save wrote, .safetensors")
    made.add_argument("--trusted", action="append", default=[], metavar="PACKAGE", help="your own, that it is made of")
    made.add_argument("--device", default="cpu", help="to run on, cuda for example (default: cpu)")
    return made


def opened(
    path: str, trusted: list[str], device: str, root: str | None = None
) -> tuple[Classification, LightningDataModule]:
    """The classifier on its device, and the data that it was trained on, of which nothing is read yet.

    Args:
        path: of the classifier.
        trusted: packages of the user.
        device: where it runs.
        root: folder of the data, if they are in another than in training.
    """
    if trusted and (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    classifier = load(path, trusted=trusted)
    config = dict(classifier.config["config"].get("data") or {})
    if root is not None:
        inner = config
        if isinstance(config.get("images"), dict):
            inner = config["images"] = dict(config["images"])
        if "root" not in inner:
            raise ValueError(f"--root: expected data in a folder, got {config.get('_target_')}, which has none")
        inner["root"] = root
    data = build(config, "data", trusted=trusted, kinds=DATA_KINDS)
    try:
        return classifier.to(torch.device(device)), data
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device: expected one that is there, got {device!r} ({error})") from error


def guarded(main: Callable[[], int]) -> None:
    """Run a command and end the program: mistakes become one line, a pipe that closes or Ctrl-C ends it quietly."""
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has had enough; nothing is to be flushed into it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except KeyboardInterrupt:
        status = 130
    except MISTAKES as error:
        told = str(error).replace("on the command line: trusted=[PACKAGE]", "with --trusted PACKAGE, in its folder")
        print(f"error: {' '.join(told.split())}", file=sys.stderr)
        status = 1
    raise SystemExit(status)
