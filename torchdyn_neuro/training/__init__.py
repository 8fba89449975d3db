"""Training with Lightning and Hydra: the task, its callbacks, safe configuration and checkpoints."""

from .allow import allowed_on_command_line
from .checkpoints import PlainCheckpoints, load_checkpoint, load_model
from .choices import with_choices
from .classification import Classification, NonFiniteError
from .instantiate import build, check_targets
from .parameter_groups import ParameterGroup
from .run import run

__all__ = [
    "Classification",
    "NonFiniteError",
    "ParameterGroup",
    "PlainCheckpoints",
    "allowed_on_command_line",
    "build",
    "check_targets",
    "load_checkpoint",
    "load_model",
    "run",
    "with_choices",
]
