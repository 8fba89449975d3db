"""The command that trains: ``torchdyn-train [group=choice] [group.key=value]``, or ``python train.py`` in a checkout.

The groups and their choices are the folders and files of ``configs/``, which a wheel holds too; ``torchdyn-train
--help`` lists them. A folder of your own joins with ``--config-dir=FOLDER``.

This module stands beside the package, because importing that loads torch.
"""

import csv
import os
import re
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

# OpenMP's threads spin while they wait for each other, and where other programs run, the one that is waited for is not
# running: epochs then take ten times as long. Asleep they cost little. Read when torch is loaded; yours goes first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SWEEP_FOLDER, SWEPT_KEYS = "TORCHDYN_NEURO_SWEEP_FOLDER", "TORCHDYN_NEURO_SWEPT_KEYS"
"""The folder of a sweep, and the keys that it varies; jobs in other processes inherit them."""

FULL_ERROR = "HYDRA_FULL_ERROR"
"""Lets Hydra hand its errors on instead of printing them."""

STARTED: list[bool] = []
"""Whether the configuration was complete: what is wrong afterwards, a run says itself."""


def config_folder() -> Path:
    """The configurations: inside the package where a wheel was installed, beside it in a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "torchdyn_neuro/configs"
    return installed if installed.is_dir() else here / "configs"


def name_of(target: str) -> str:
    """The name of a class in the words of a folder: ``fashion_mnist`` for ``torchdyn_neuro.data.FashionMNIST``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", target.rpartition(".")[2])
    return words.lower()


def _name_of_part(key: str, *, _root_: DictConfig) -> str:
    """The name of what a part of the configuration makes; one that makes nothing is refused later, in its own words."""
    target = OmegaConf.select(_root_, f"{key}._target_")
    return name_of(target) if isinstance(target, str) else key


OmegaConf.register_new_resolver("name_of", _name_of_part, replace=True)


@hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="train")
def main(config: DictConfig) -> float:
    """Compose the configuration and train."""
    # Lightning takes seconds to import; a mistake on the command line is reported without it.
    from torchdyn_neuro.training import is_job, run, run_job, trusted_on_command_line

    STARTED.append(True)
    return (run_job if is_job() else run)(config, trusted_on_command_line())


def command() -> None:
    """Go on with the choices of a checkpoint, if the command line names one; then :func:`main`.

    Whoever reads what is printed may stop, as ``head`` does.
    """
    try:
        try:
            _command()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Nothing is to be flushed into it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def _command() -> None:
    # Whoever asks Hydra for its traceback gets it.
    asked = FULL_ERROR in os.environ
    os.environ[FULL_ERROR] = "1"
    try:
        sys.argv[1:] = [_without_null(word) for word in sys.argv[1:]]
        if any("checkpoint=" in word for word in sys.argv[1:]):
            from torchdyn_neuro.training import with_choices

            sys.argv[1:] = with_choices(sys.argv[1:])
        main()
        failed = _tell_of_jobs()
    except BrokenPipeError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError, OSError) as error:
        if asked or STARTED:
            raise
        cause = f"\n{error.__cause__}" if isinstance(error.__cause__, OmegaConfBaseException) else ""
        raise SystemExit(f"error: {error}{cause}") from error
    if failed:
        raise SystemExit(1)


class Sweep(Callback):
    """Tells the jobs of a sweep where to put what they found, and what is varied; Hydra calls it."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        parsed = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
        swept = [word.key_or_group for word in parsed if word.is_sweep_override()]
        swept += [key.lstrip("+") for key in config.hydra.sweeper.get("params") or {}]
        os.environ[SWEEP_FOLDER], os.environ[SWEPT_KEYS] = str(config.hydra.sweep.dir), " ".join(swept)


def _tell_of_jobs() -> int:
    """Print the table of a sweep, if there was one; the number of jobs that failed."""
    table = Path(os.environ.pop(SWEEP_FOLDER, "")) / "jobs.csv"
    if not table.is_file() or os.environ.get("LOCAL_RANK", "0") != "0":
        return 0
    with table.open(newline="") as file:
        jobs = sorted(csv.DictReader(file), key=lambda job: int(job["job"]))
    for job in jobs:
        found = "failed" if job["error"] else f"{float(job['objective']):.4f}"
        print(f"{job['job']:>4}  {found:<8}  {job['name']}{'  ' + job['error'] if job['error'] else ''}")
    failed = sum(bool(job["error"]) for job in jobs)
    print(f"{len(jobs) - failed} of {len(jobs)} jobs ended well: {table}", flush=True)
    return failed


def _without_null(word: str) -> str:
    """A choice of a group in the words of Hydra, which knows no ``encoder=null``.

    Raises:
        ValueError: if it is no name.
    """
    group, equals, value = word.partition("=")
    if not equals or not re.fullmatch(r"[a-z_]+", group) or not (config_folder() / group).is_dir():
        return word
    if value == "null":
        return f"~{group}"
    if re.fullmatch(r"[-+]?\d*\.?\d+(e[-+]?\d+)?|true|false", value, re.IGNORECASE):
        raise ValueError(f"train: expected {group} to be the name of a choice, got {value}; --help lists them")
    return word


if __name__ == "__main__":
    command()
