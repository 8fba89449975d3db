"""Objects from plain configuration, of a closed list of kinds only."""

import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.utilities.exceptions import MisconfigurationException

from .arguments import PLAIN, misfits, takes_any
from .kinds import KINDS, Kind, resolve

TARGET, PARTIAL = "_target_", "_partial_"

FOREIGN_WORDS = ("_args_", "_convert_", "_recursive_", "_mode_")
"""Words that Hydra gives a meaning to and :func:`build` does not."""


def check_targets(
    config: Any, where: str = "config", *, trusted: Sequence[str] = (), kinds: Sequence[Kind] = KINDS
) -> None:
    """Raise ``ValueError`` unless every ``_target_`` in the configuration may be built; builds nothing.

    Args:
        config: dicts, lists and plain values.
        where: name of the configuration in messages.
        trusted: further packages, every public class of which may be built.
        kinds: what may be built besides.
    """
    for path, mapping in _mappings(config, where):
        words = [word for word in FOREIGN_WORDS if word in mapping]
        if words:
            raise ValueError(f"{path}: expected arguments by name, got {words[0]}; leave it out")
        if PARTIAL in mapping and (TARGET not in mapping or not isinstance(mapping[PARTIAL], bool)):
            raise ValueError(
                f"{path}: expected {PARTIAL} to be true or false beside a {TARGET}, got "
                f"{mapping[PARTIAL]!r}; leave it out"
            )
        if TARGET in mapping:
            resolve(mapping[TARGET], path, trusted=trusted, kinds=kinds)


def build(
    config: Any,
    where: str = "config",
    *,
    extra: Mapping[str, Any] | None = None,
    trusted: Sequence[str] = (),
    kinds: Sequence[Kind] = KINDS,
) -> Any:
    """Build the objects that a plain configuration describes.

    A mapping with ``_target_`` becomes a call of that class with the other entries, which are built first; with
    ``_partial_`` the call waits for its missing arguments. All targets are checked before the first object is built.

    Args:
        config: dicts, lists and plain values.
        where: name of the configuration in messages.
        extra: further arguments of the outermost call, if its class takes them.
        trusted: further packages, every public class of which may be built.
        kinds: what may be built besides.

    Raises:
        ValueError: if a target is not allowed, or refuses its arguments; the message names their place.

    Example:
        >>> build({"_target_": "torchdyn_neuro.LIF", "tau_mem": 10.0}).tau_mem
        Positive(10 ms)
    """
    check_targets(config, where, trusted=trusted, kinds=kinds)

    def made(part: Any, where: str, extra: Mapping[str, Any]) -> Any:
        if isinstance(part, Mapping):
            arguments = {
                key: made(value, f"{where}.{key}", {}) for key, value in part.items() if key not in (TARGET, PARTIAL)
            }
            if TARGET not in part:
                return arguments
            kind = resolve(part[TARGET], where, trusted=trusted, kinds=kinds)
            for key in extra.keys() & arguments.keys():
                raise ValueError(
                    f"{where}: expected {key} to be left to the run, got {_shown(arguments[key])}; "
                    f"leave out {where}.{key}"
                )
            return _call(kind, arguments | offered(kind, extra), part.get(PARTIAL, False), where)
        if isinstance(part, (list, tuple)):
            return [made(value, f"{where}[{index}]", {}) for index, value in enumerate(part)]
        return part

    return made(config, where, dict(extra or {}))


def _call(kind: type, arguments: dict[str, Any], partial: bool, where: str) -> Any:
    try:
        signature = inspect.signature(kind)
        signature.bind_partial(**arguments) if partial else signature.bind(**arguments)
    except TypeError as error:
        name = kind.__qualname__
        raise ValueError(f"{where}: {name} takes {inspect.signature(kind)}, but {error}; change {where}") from error
    for name, expected in misfits(kind, arguments):
        raise ValueError(
            f"{where}: expected {name} to be {expected}, got {_shown(arguments[name])}; set it with {where}.{name}=..."
        )
    with _naming(where):
        return Deferred(kind, arguments, where) if partial else kind(**arguments)


class Deferred(functools.partial):
    """A class with some of its arguments, and the place in the configuration that a mistake is found at."""

    where: str

    def __new__(cls, kind: type, arguments: Mapping[str, Any], where: str) -> "Deferred":
        deferred = super().__new__(cls, kind, **arguments)
        deferred.where = where
        return deferred

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _naming(self.where):
            return super().__call__(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        # Averaging of weights copies the whole task.
        return type(self), (self.func, self.keywords, self.where)


@contextmanager
def _naming(where: str) -> Iterator[None]:
    """Let what a class says about its arguments begin with their place in the configuration."""
    try:
        yield
    except (TypeError, ValueError, RuntimeError, MisconfigurationException) as error:
        message = str(error)
        if where in message:
            raise
        raise ValueError(f"{where}: {message}") from error


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, (*PLAIN, list, Mapping, type(None))) else type(value).__name__


def offered(kind: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the arguments that a class takes."""
    named = inspect.signature(kind).parameters
    return dict(arguments) if takes_any(kind) else {key: each for key, each in arguments.items() if key in named}


def _mappings(config: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(config, Mapping):
        yield where, config
        for key, value in config.items():
            yield from _mappings(value, f"{where}.{key}")
    elif isinstance(config, (list, tuple)):
        for index, value in enumerate(config):
            yield from _mappings(value, f"{where}[{index}]")
