"""Finding the files of a data set."""

from collections.abc import Sequence
from pathlib import Path


def find_folder(owner: str, root: str, folder: str, *, source: str, files: str, wanted: Sequence[str]) -> Path:
    """The folder that holds all of the wanted files: ``root/folder``, or ``root`` itself.

    Args:
        owner: who reads them, in messages.
        root: what the user said.
        folder: name of the data set.
        source: where to get it.
        files: what belongs to it.
        wanted: names of files or folders, or patterns, each of which must be there.

    Raises:
        FileNotFoundError: if there is none, with where to get the data set and what belongs to it.
    """
    for path in (Path(root) / folder, Path(root)):
        if path.is_dir() and all(next(path.glob(name), None) is not None for name in wanted):
            return path
    raise FileNotFoundError(
        f"{owner}: expected {files} in {str(Path(root) / folder)!r}, found them neither there nor in {str(root)!r}; "
        f"get the data set from {source}, or set data.root"
    )
