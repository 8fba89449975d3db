"""Objects from plain configuration, from an allow-list only."""

import functools
import importlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

TARGET, PARTIAL = "_target_", "_partial_"

OWN_PACKAGE = "torchdyn_neuro"
"""Every public class and function of this library may be built."""

FOREIGN_PACKAGES = (
    "torch.nn.modules",
    "torch.optim",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.trainer",
    "lightning.pytorch.strategies",
)
"""Of these, every public class may be built, but no function may be called."""


def check_targets(config: Any, where: str = "config") -> None:
    """Raise ``ValueError`` unless every ``_target_`` in the configuration is on the allow-list; builds nothing.

    A name counts for nothing: it is resolved first, and what decides is where the object it leads to is defined.
    """
    for path, target in _targets(config, where):
        resolve(target, path)


def resolve(target: Any, where: str = "config") -> Any:
    """The class or function that a dotted path names, if it is allowed; ``ValueError`` otherwise."""
    refusal = (
        f"{where}: expected {TARGET} to name a public class of {OWN_PACKAGE}, torch.nn, torch.optim or Lightning, "
        f"got {target!r}"
    )
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        raise ValueError(f"{refusal}; write a dotted path")
    # Importing a module runs it, so nothing outside the allowed packages is ever imported.
    if target.split(".")[0] not in {package.split(".")[0] for package in (OWN_PACKAGE, *FOREIGN_PACKAGES)}:
        raise ValueError(f"{refusal}, which lies outside the allowed packages")
    found = _locate(target)
    if found is None:
        raise ValueError(f"{refusal}, which does not exist; check the spelling")
    if not _allowed(found):
        raise ValueError(f"{refusal}, which is defined in {getattr(found, '__module__', None) or 'no module'}")
    return found


def build(config: Any, where: str = "config", **extra: Any) -> Any:
    """Build the objects that a plain configuration describes.

    A mapping with ``_target_`` becomes a call of it with the other entries, which are built first; with ``_partial_``
    the call waits for its missing arguments. All targets are checked before the first object is built.

    Args:
        config: dicts, lists and plain values.
        where: name of the configuration in messages.
        extra: further arguments of the outermost call.

    Raises:
        ValueError: if a target is not allowed, or refuses its arguments.

    Example:
        >>> build({"_target_": "torchdyn_neuro.LIF", "tau_mem": 10.0}).tau_mem
        Positive(10 ms)
    """
    check_targets(config, where)
    return _build(config, where, extra)


def _build(config: Any, where: str, extra: Mapping[str, Any]) -> Any:
    if isinstance(config, Mapping):
        arguments = {
            key: _build(value, f"{where}.{key}", {}) for key, value in config.items() if key not in (TARGET, PARTIAL)
        }
        if TARGET not in config:
            return arguments
        return _call(resolve(config[TARGET], where), arguments | extra, bool(config.get(PARTIAL)), where)
    if isinstance(config, (list, tuple)):
        return [_build(value, f"{where}[{index}]", {}) for index, value in enumerate(config)]
    return config


def _call(target: Any, arguments: dict[str, Any], partial: bool, where: str) -> Any:
    name = target.__qualname__
    try:
        signature = inspect.signature(target)
        signature.bind_partial(**arguments) if partial else signature.bind(**arguments)
    except TypeError as error:
        raise ValueError(f"{where}: {name} takes {inspect.signature(target)}, but {error}; change {where}") from error
    return functools.partial(target, **arguments) if partial else target(**arguments)


def _targets(config: Any, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(config, Mapping):
        if TARGET in config:
            yield where, config[TARGET]
        for key, value in config.items():
            yield from _targets(value, f"{where}.{key}")
    elif isinstance(config, (list, tuple)):
        for index, value in enumerate(config):
            yield from _targets(value, f"{where}[{index}]")


def _locate(target: str) -> Any:
    """Follow the path: import the longest part that is a module, then read attributes."""
    parts = target.split(".")
    found: Any = importlib.import_module(parts[0])
    for index, part in enumerate(parts[1:], start=2):
        if not hasattr(found, part) and inspect.ismodule(found):
            if not _inside(f"{found.__name__}.", (OWN_PACKAGE, *FOREIGN_PACKAGES), partly=True):
                return None
            try:
                importlib.import_module(".".join(parts[:index]))
            except ImportError:
                return None
        found = getattr(found, part, None)
        if found is None:
            return None
    return found


def _inside(name: str, packages: tuple[str, ...], partly: bool = False) -> bool:
    """Whether a dotted name lies inside a package, or, if ``partly``, on the way to one."""
    name = name.rstrip(".") + "."
    return any(name.startswith(f"{package}.") or (partly and f"{package}.".startswith(name)) for package in packages)


def _allowed(found: Any) -> bool:
    if not (inspect.isclass(found) or inspect.isfunction(found)) or found.__qualname__.startswith("_"):
        return False
    if _inside(found.__module__, (OWN_PACKAGE,)):
        return True
    return inspect.isclass(found) and _inside(found.__module__, FOREIGN_PACKAGES)
