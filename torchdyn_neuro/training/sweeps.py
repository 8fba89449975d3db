"""Many runs of one command (``-m``): a folder and a line for each, and none that stops the others."""

import csv
import math
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from .choices import OWN_COMMAND
from .folders import SWEEP_VARIABLE
from .run import result_of

KEYS_VARIABLE = "TORCHDYN_NEURO_SWEPT_KEYS"
"""What the program that starts the jobs tells them of what is varied."""

TABLE = "jobs.csv"
COLUMNS = ("job", "name", "objective", "test accuracy", "folder", "error")

LONGEST_NAME = 120

OF_SWEEPS = ("hydra.mode=", "hydra/sweeper", "hydra/launcher", "hydra.sweep", "hydra.launcher")

PLAIN_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
"""The one that an exception of a job stops; all others are told of a failure by one."""


class FailedJob(Exception):  # noqa: N818
    """A job has failed, and said why."""


def is_job() -> bool:
    """Whether this is one run of many."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def run_job(config: DictConfig, trusted: Sequence[str] = ()) -> float:
    """One run of many, in a folder that has its name; a mistake becomes a line of the table.

    Args:
        config: the composed configuration of this job.
        trusted: see :func:`run`.

    Returns:
        What ``config.objective`` names; NaN if the run failed, where an exception would stop the others.

    Raises:
        FailedJob: if the run failed, and the sweeper wants to know.
        SystemExit: after SIGINT or SIGTERM, which end all jobs.
    """
    job, sweep_folder = HydraConfig.get().job.num, folder_of_sweep(config)
    name = job_name()
    config.folder = str(sweep_folder / _as_file_name(f"{job}_{name}"))
    print(f"job {job}: {name}", flush=True)
    row = {"job": job, "name": name, "folder": config.folder}
    try:
        with _as_single_run():
            result = result_of(config, trusted, judged=True)
        row |= {"objective": result.objective, "test accuracy": result.accuracy, "folder": result.folder}
    except SystemExit as stop:
        if not isinstance(stop.code, str):
            raise
        row["error"] = stop.code
    except Exception as error:
        # A fault of this program, or of the user's own package.
        traceback.print_exc()
        row["error"] = f"{type(error).__name__}: {error}"
    if "error" in row:
        print(f"job {job}: {row['error']}", file=sys.stderr, flush=True)
    if os.environ.get("LOCAL_RANK", "0") == "0":
        _write(sweep_folder, row)
    if "error" in row and HydraConfig.get().sweeper.get("_target_") != PLAIN_SWEEPER:
        raise FailedJob(row["error"])
    return row.get("objective", math.nan)


def folder_of_sweep(config: DictConfig) -> Path:
    """The folder in which those of the jobs are; one for all, unless the command line has several."""
    return Path(config.folder if "folder" in swept_keys() else os.environ.get(SWEEP_VARIABLE, config.folder))


def job_name() -> str:
    """What tells this job from the others: its choices for what is varied; all of them where that is not known."""
    own = {_key(word): word for word in HydraConfig.get().overrides.task if _key(word) not in OWN_COMMAND}
    varied = [word for key, word in own.items() if key in swept_keys()]
    return " ".join(varied or own.values()) or "as it is"


def swept_keys() -> list[str]:
    """The keys of which the sweep has several values, as the program that starts the jobs tells."""
    return os.environ.get(KEYS_VARIABLE, "").split()


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _as_file_name(name: str) -> str:
    return re.sub(r"[^\w.,=+-]", "", name.replace(" ", ","))[:LONGEST_NAME]


@contextmanager
def _as_single_run() -> Iterator[None]:
    """Lets processes that Lightning starts for other ranks do this job, in its folder, and not the whole sweep."""
    words, environment = list(sys.argv), dict(os.environ)
    job = HydraConfig.get().overrides
    sys.argv[1:] = [
        *(word for word in words[1:] if word.startswith("-") and word not in ("-m", "--multirun")),
        *(word for word in job.hydra if not word.startswith(OF_SWEEPS)),
        *job.task,
    ]
    try:
        yield
    finally:
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # Or the next job would take the processes of this one for its own, which are gone.
            torch.distributed.destroy_process_group()
        sys.argv[:] = words
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)


def _write(folder: Path, row: dict[str, object]) -> None:
    """Add a line to the table; jobs that run beside each other do so whole lines at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / TABLE).open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)
