"""What happens when a run is told to stop."""

import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.environments import SLURMEnvironment

from .choices import held_by_checkpoints

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(Callback):
    """The signal that a run has received, if any, and where it can go on from.

    Lightning ends with status 1 after SIGINT and with 0 after SIGTERM, and says nothing. Here both become the
    KeyboardInterrupt that Lightning shuts down on, and are remembered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.signum: int | None = None
        self.folder: Path | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Notice signals inside the block."""
        if threading.current_thread() is not threading.main_thread():
            # Only the main thread may, and only it receives any.
            yield
            return
        before = {signum: signal.getsignal(signum) for signum in SIGNALS}
        self._listen()
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._listen_instead_of_lightning()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._listen_instead_of_lightning()

    def _listen_instead_of_lightning(self) -> None:
        # On SIGTERM Lightning lets the processes of a run wait for each other, wherever they are: they hang. Where
        # SLURM starts a job anew, that is Lightning's affair.
        if not SLURMEnvironment.detect():
            self._listen()

    def _listen(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                signal.signal(signum, self._receive)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        raise KeyboardInterrupt

    @property
    def status(self) -> int:
        """The status that a shell expects of a program ended by this signal."""
        return 128 + (self.signum or 0)

    def explain(self) -> None:
        """Print the command that goes on, once for all processes of a run."""
        if os.environ.get("LOCAL_RANK", "0") != "0":
            return
        last = self.folder / "checkpoints/last.ckpt" if self.folder else None
        if last is not None and last.is_file():
            message = f"interrupted; to go on: {command(str(last))}"
        else:
            message = f"interrupted before the end of the first epoch; to start again: {command(None)}"
        print(message, file=sys.stderr, flush=True)


def command(checkpoint: str | None) -> str:
    """The command that started this program, for a shell, or one that goes on from ``checkpoint``.

    The latter needs no choices, which the checkpoint holds; only what no file may say stays.
    """
    words = list(sys.orig_argv)
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        # One job of many: its own choices, not all of them.
        words = [sys.orig_argv[0], sys.argv[0], *HydraConfig.get().overrides.task]
    if checkpoint is not None:
        words = [word for word in words if not held_by_checkpoints(word)]
        words.append(f"checkpoint={quoted(checkpoint)}")
    return shlex.join(words)


def quoted(value: str) -> str:
    """A value as Hydra's command line takes it.

    Example:
        >>> quoted("logs/a.ckpt"), quoted("logs/epoch=1.ckpt")
        ('logs/a.ckpt', "'logs/epoch=1.ckpt'")
    """
    if re.fullmatch(r"[\w./+-]+", value):
        return value
    # A backslash counts as one unless a quotation mark follows.
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
    return f"'{escaped}'"
