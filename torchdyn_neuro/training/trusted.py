"""The user's own packages, from which a configuration may build: named on the command line, or by how they installed.

A package that is installed announces itself in its ``pyproject.toml``, and needs no key any more::

    [project.entry-points."torchdyn_neuro.trusted"]
    my_package = "my_package"
"""

import functools
import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser

KEY = "trusted"

GROUP = "torchdyn_neuro.trusted"
"""The group of entry points by which installed packages announce themselves; the value of one is a package's name."""


def trusted_on_command_line() -> tuple[str, ...]:
    """What ``trusted=[PACKAGE, ...]`` on the command line of this program names; empty if it is not there.

    The folder from which the program was called is then searched too, after all others, so that a package need not be
    installed to be tried.

    Raises:
        ValueError: if it is no list of names.
    """
    if not HydraConfig.initialized():
        return ()
    overrides = OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task))
    given = [override.value() for override in overrides if override.key_or_group == KEY]
    names = packages(given[-1]) if given else ()
    if names and (here := os.getcwd()) not in sys.path:
        sys.path.append(here)
    return names


def packages(given: Any) -> tuple[str, ...]:
    """``given`` if it is a list of names of packages; ``ValueError`` otherwise.

    Example:
        >>> packages(["my_package"])
        ('my_package',)
    """
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ValueError(f"train: expected {KEY} to be a list of packages, got {given!r}; write {KEY}=[PACKAGE]")
    for name in given:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(f"train: expected {KEY} to list names of packages, got {name!r}; write {KEY}=[PACKAGE]")
    return tuple(given)


@functools.cache
def announced() -> tuple[str, ...]:
    """The installed packages that announce themselves; none of them is imported here.

    Raises:
        ValueError: if one announces what is no package's name.
    """
    found = []
    for point in entry_points(group=GROUP):
        if not all(part.isidentifier() for part in point.value.split(".")):
            raise ValueError(
                f"train: expected an entry point of {GROUP!r} to name a package, got {point.name} = {point.value!r}; "
                f'write {point.name} = "PACKAGE" and install it again'
            )
        found.append(point.value)
    return tuple(found)


def check_trusted(config: dict[str, Any], trusted: Sequence[str]) -> None:
    """Raise ``ValueError`` if a configuration lists packages that the user has not named.

    A file that somebody else wrote, an experiment or a checkpoint, must not open the door for itself.
    """
    listed = packages(config.get(KEY) or [])
    foreign = [name for name in listed if name not in (*trusted, *announced())]
    if foreign:
        raise ValueError(
            f"train: expected packages to be trusted on the command line, got {foreign[0]!r} from a file; if you trust "
            f"it, add {KEY}=[{foreign[0]}] to the command"
        )
