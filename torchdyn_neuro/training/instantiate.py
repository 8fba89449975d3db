"""Objects from plain configuration, of a closed list of kinds only."""

import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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
        extra: further arguments of the outermost call.
        trusted: further packages, every public class of which may be built.
        kinds: what may be built besides.

    Raises:
        ValueError: if a target is not allowed, or refuses its arguments.

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
            return _call(kind, arguments | extra, part.get(PARTIAL, False), where)
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
    return functools.partial(kind, **arguments) if partial else kind(**arguments)


def _mappings(config: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(config, Mapping):
        yield where, config
        for key, value in config.items():
            yield from _mappings(value, f"{where}.{key}")
    elif isinstance(config, (list, tuple)):
        for index, value in enumerate(config):
            yield from _mappings(value, f"{where}[{index}]")
