"""The command that trains: ``torchdyn-train [group=choice] [group.key=value]``, or ``python train.py`` in a checkout.

The groups and their choices are the folders and files of ``configs/``, which a wheel holds too; ``torchdyn-train
--help`` lists them. A folder of your own joins with ``--config-dir=FOLDER``.

This module stands beside the package, because importing that loads torch.
"""

import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

# OpenMP's threads spin while they wait for each other, and where other programs run, the one that is waited for is not
# running: epochs then take ten times as long. Asleep they cost little. Read when torch is loaded; yours goes first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def config_folder() -> Path:
    """The configurations: inside the package where a wheel was installed, beside it in a checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "torchdyn_neuro/configs"
    return installed if installed.is_dir() else here / "configs"


@hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="train")
def main(config: DictConfig) -> None:
    """Compose the configuration and train."""
    # Lightning takes seconds to import; a mistake on the command line is reported without it.
    from torchdyn_neuro.training import run, trusted_on_command_line

    run(config, trusted_on_command_line())


def command() -> None:
    """Go on with the choices of a checkpoint, if the command line names one; then :func:`main`."""
    if any("checkpoint=" in word for word in sys.argv[1:]):
        from torchdyn_neuro.training import with_choices

        try:
            sys.argv[1:] = with_choices(sys.argv[1:])
        except (ValueError, OSError) as error:
            raise SystemExit(f"error: {error}") from error
    main()
