"""The keys of a configuration that no part checks, because they are of the run itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..core.checks import positive_number, whole_number
from .arguments import names_taken
from .instantiate import PARTIAL, TARGET
from .kinds import resolve

NEEDED = ("data", "model", "loss", "optimizer", "trainer")
PARTS = (*NEEDED, "encoder", "learning", "scheduler", "profiler")
"""Groups of which a run has one part; those that are not needed may be null."""

SEVERAL = ("callbacks", "logger", "groups", "penalty")
"""Groups whose parts have names."""


def check_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with every key that a run reads; what may be absent is ``None``, or empty.

    Raises:
        ValueError: naming the key, if one is missing or of no use.
    """
    whole = dict(config) | {key: None for key in ("checkpoint", "traceback", *PARTS) if key not in config}
    for group in SEVERAL:
        whole[group] = {} if whole.get(group) is None else whole[group]
    for key in ("folder", "objective"):
        if not isinstance(whole.get(key), str) or not whole[key]:
            raise ValueError(f"train: expected {key} to be a text, got {whole.get(key)!r}; set it with {key}=...")
    if whole["objective"].startswith("test/"):
        raise ValueError(
            f"train: expected objective to be measured on validation or training data, got {whole['objective']!r}; "
            "what is chosen by the test data is no result on them any more: objective=val/accuracy"
        )
    for key, least, most in (("seed", 0, 2**32 - 1), ("threads", 0, 4096), ("steps", 1, 2**31 - 1)):
        value = whole.get(key)
        if key == "steps" and key not in whole:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(
                f"train: expected {key} to be an integer from {least} to {most}, got {value!r}; set it with {key}=..."
            )
    positive_number("train", "calibrate", whole.get("calibrate"), zero=True, unit="Hz")
    if "dt" in whole:
        positive_number("train", "dt", whole["dt"], unit="ms")
    _check_parts(whole)
    batches = whole["trainer"].get("accumulate_grad_batches")
    if isinstance(batches, int):
        # Lightning divides by it.
        whole_number("train", "trainer.accumulate_grad_batches", batches, 1)
    return whole


def _check_parts(config: Mapping[str, Any]) -> None:
    for group in PARTS:
        part = config[group]
        if part is None and group not in NEEDED:
            continue
        if not isinstance(part, Mapping) or TARGET not in part:
            raise ValueError(
                f"train: expected {group} to have a {TARGET}, got {part!r}; choose one with {group}=NAME, --help lists "
                "the names"
            )
    for group in SEVERAL:
        if not isinstance(config[group], Mapping):
            raise ValueError(f"train: expected {group} to be parts by name, got {config[group]!r}; see --help")
        for name, part in config[group].items():
            if part and (not isinstance(part, Mapping) or TARGET not in part):
                raise ValueError(
                    f"train: expected {group}.{name} to have a {TARGET}, got {part!r}; leave it out, or write "
                    f"+{group}.{name}._target_=..."
                )


def without_foreign_arguments(
    config: Mapping[str, Any], chosen: Sequence[str], trusted: Sequence[str]
) -> dict[str, Any]:
    """The configuration, in which a class of the command line's choice gets none of the arguments of another one.

    ``data._target_=my_package.Mine`` replaces the class of a file that lists arguments of its own. Those that the new
    class does not take are left out, but for what the command line says too.

    Args:
        config: of a run, without interpolations.
        chosen: the keys that the command line sets.
        trusted: see :func:`resolve`.
    """
    found = dict(config)
    for key in chosen:
        *path, last = key.split(".")
        if last != TARGET or not path:
            continue
        found = _pruned(found, path, chosen, trusted, ".".join(path))
    return found


def _pruned(
    config: Mapping[str, Any], path: Sequence[str], chosen: Sequence[str], trusted: Sequence[str], where: str
) -> dict[str, Any]:
    inner = config.get(path[0])
    if not isinstance(inner, Mapping):
        return dict(config)
    if len(path) > 1:
        return {**config, path[0]: _pruned(inner, path[1:], chosen, trusted, where)}
    taken = names_taken(resolve(inner.get(TARGET), where, trusted=trusted))
    if taken is None:
        return dict(config)
    taken |= {TARGET, PARTIAL}
    kept = {
        name: value
        for name, value in inner.items()
        if name in taken or any(f"{each}.".startswith(f"{where}.{name}.") for each in chosen)
    }
    return {**config, path[0]: kept}
