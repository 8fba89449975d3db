"""Train a spiking classifier: python train.py [group=choice] [group.key=value].

The groups and their choices are the folders and files of configs/; ``python train.py --help`` lists them.
"""

import os

import hydra
from omegaconf import DictConfig

# OpenMP's threads spin while they wait for each other, and where other programs run, the one that is waited for is not
# running: epochs then take ten times as long. Asleep they cost little. Read when torch is loaded; yours goes first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(config: DictConfig) -> None:
    """Compose the configuration and train."""
    # Lightning takes seconds to import; a mistake on the command line is reported without it.
    from torchdyn_neuro.training import allowed_on_command_line, run

    run(config, allowed_on_command_line())


if __name__ == "__main__":
    main()
