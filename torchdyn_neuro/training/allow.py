"""The user's own packages, from which a configuration may build: named on the command line and nowhere else."""

from collections.abc import Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser

KEY = "allow"


def allowed_on_command_line() -> tuple[str, ...]:
    """What ``allow=[PACKAGE, ...]`` on the command line of this program names; empty if it is not there.

    Raises:
        ValueError: if it is no list of names.
    """
    if not HydraConfig.initialized():
        return ()
    overrides = OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task))
    given = [override.value() for override in overrides if override.key_or_group == KEY]
    return packages(given[-1]) if given else ()


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


def check_allowed(config: dict[str, Any], allow: Sequence[str]) -> None:
    """Raise ``ValueError`` if a configuration lists packages that the user has not named.

    A file that somebody else wrote, an experiment or a checkpoint, must not open the door for itself.
    """
    listed = packages(config.get(KEY) or [])
    foreign = [name for name in listed if name not in allow]
    if foreign:
        raise ValueError(
            f"train: expected packages to be allowed on the command line, got {foreign[0]!r} from a file; if you trust "
            f"it, add {KEY}=[{foreign[0]}] to the command"
        )
