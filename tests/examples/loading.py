"""The examples as modules."""

import importlib.util
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
# A package of the user's own is no script; tests/training/test_own_project.py trains with it.
PATHS = sorted(path for path in EXAMPLES.rglob("*.py") if path.parent.name != "own_project")
NAMES = [str(path.relative_to(EXAMPLES).with_suffix("")) for path in PATHS]


def load(name):
    """The example as a module, without running it."""
    spec = importlib.util.spec_from_file_location("example", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
