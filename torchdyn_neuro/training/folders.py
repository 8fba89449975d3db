"""The folder of a run: no other run's, and all that it writes."""

import errno
import os
import tempfile
from pathlib import Path

# Processes that Lightning starts for other ranks inherit the environment, and with it the folder of the run.
FOLDER_VARIABLE = "TORCHDYN_NEURO_RUN_FOLDER"
# That of a sweep is what the program that starts its jobs tells them, on other machines too.
SWEEP_VARIABLE = "TORCHDYN_NEURO_SWEEP_FOLDER"


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


def check_inside(folder: Path, path: Path, setting: str) -> None:
    """Raise ``ValueError`` if something would be written outside the folder of the run."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"train: expected {setting} to stay in the run's folder {str(folder)!r}, got {str(path)!r}; leave it out, "
            "or set folder="
        )
