"""Training with Lightning and Hydra: the task, its callbacks, safe configuration and checkpoints."""

from .checkpoints import PlainCheckpoints, load_checkpoint
from .choices import with_choices
from .classification import Classification, NonFiniteError
from .instantiate import build, check_targets
from .parameter_groups import ParameterGroup
from .run import run
from .sweeps import is_job, run_job
from .trusted import trusted_on_command_line

__all__ = [
    "Classification",
    "NonFiniteError",
    "ParameterGroup",
    "PlainCheckpoints",
    "build",
    "check_targets",
    "is_job",
    "load_checkpoint",
    "run",
    "run_job",
    "trusted_on_command_line",
    "with_choices",
]
