"""What was read from many files, kept in one."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from ..core.checks import warn
from .events import Events


def cached(
    folder: str, name: str, what: Any, sources: Iterable[Path], read: Callable[[], dict[str, Events]]
) -> dict[str, Events]:
    """The events that ``read`` gives, from a file in ``folder`` if they were read from the same files before.

    The file holds tensors only, nothing in it is executed, and it stays on the disk: what is not used takes no memory.
    It is known by the names, sizes and times of the sources; when one of them changes, another is written.

    Args:
        folder: where it is kept; made if it is not there.
        name: the beginning of the file's name.
        what: how the sources are read, as plain values.
        sources: the files that are read.
        read: reads them.
    """
    stats = [(str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    digest = hashlib.sha256(repr((what, sorted(stats))).encode()).hexdigest()[:16]
    path = Path(folder) / f"{name}-{digest}.pt"
    if path.is_file():
        try:
            return _load(path)
        except Exception as error:  # what comes out of a damaged file depends on where it is damaged
            warn(f"{name}: the cache {str(path)!r} is damaged ({type(error).__name__}); it is written anew")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(
            f"{name}: expected a folder to keep a cache in, got {folder!r} ({error.strerror}); change data.cache"
        ) from error
    found = read()
    plain = {
        part: {field.name: getattr(events, field.name) for field in fields(Events)} for part, events in found.items()
    }
    # Under another name until it is whole: a run that is killed leaves no half of it, and two may write at once.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            torch.save(plain, file)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return _load(path)


def _load(path: Path) -> dict[str, Events]:
    return {part: Events(**tensors) for part, tensors in torch.load(path, weights_only=True, mmap=True).items()}
