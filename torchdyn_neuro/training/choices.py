"""The choices of a run: kept in its checkpoints, so that ``checkpoint=FILE`` alone goes on with them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from .checkpoints import load_checkpoint
from .settings import check_settings, without_foreign_arguments

OWN_COMMAND = ("checkpoint", "trusted", "folder")
"""What only a command line says, never a file: whom to trust, and where to write."""


def with_choices(words: Sequence[str]) -> list[str]:
    """The arguments of a program, with the choices in the checkpoint that they name, if they name one.

    What the arguments say goes first: a stored choice of the same key, or of one below it, is left out.

    Args:
        words: the command line without the program, such as ``sys.argv[1:]``.

    Raises:
        ValueError: if the file is no checkpoint, or holds more than choices.
    """
    words = list(words)
    given = {word: _parsed(word) for word in words if _is_override(word)}
    checkpoints = [(word, each) for word, each in given.items() if each is not None and _key(each) == "checkpoint"]
    if len(checkpoints) != 1 or checkpoints[0][1].is_sweep_override() or not checkpoints[0][1].value():
        return words
    word, named = checkpoints[0]
    own = [_key(each) for each in given.values() if each is not None]
    path = str(named.value())
    stored = choices_in(load_checkpoint(path), path)
    place = words.index(word)
    kept = (choice for choice in stored if not _below(_key(_parsed(choice)), own))
    return [*words[:place], *kept, *words[place:]]


def choices_of_command() -> list[str]:
    """What the command line of this program has chosen, for its checkpoints."""
    if not HydraConfig.initialized():
        return []
    return [choice for choice in HydraConfig.get().overrides.task if not _below(_key(_parsed(choice)), OWN_COMMAND)]


def chosen_keys() -> list[str]:
    """The keys that the command line of this program sets; empty without one."""
    return [_key(_parsed(choice)) for choice in choices_of_command()]


def choices_in(checkpoint: Mapping[str, Any], path: str) -> list[str]:
    """The choices that a checkpoint holds.

    They name files of the configuration and plain values, for whose classes the closed list holds as for all others;
    they cannot reach Hydra's own settings, the environment, or what only a command line says.

    Raises:
        ValueError: if they are anything else.
    """
    choices = checkpoint.get("choices", [])
    for choice in choices if isinstance(choices, list) else [choices]:
        parsed = _parsed(choice) if isinstance(choice, str) else None
        reason = "no choice" if parsed is None else _refused(parsed, choice)
        if reason:
            raise ValueError(
                f"checkpoint: expected choices such as neuron=lif in {path!r}, got {choice!r}, {reason}; do not trust "
                "this file, or name the choices of its run on the command line with a checkpoint of your own"
            )
    return list(choices)


def _refused(choice: Override, text: str) -> str | None:
    key = _key(choice)
    if "hydra" in re.split(r"[./@]", f"{key}@{choice.package or ''}"):
        return "a setting of Hydra"
    if choice.package is not None:
        return "which puts a group elsewhere"
    if _below(key, OWN_COMMAND):
        return f"which only a command line says: {key}=..."
    if choice.is_sweep_override():
        return "which is several"
    if re.search(r"\$\{[^}]*:", text):
        return "which looks things up"
    # What has no dot names a file of the configuration, or a part of the folder of a run.
    leads = (
        word for word in _strings(choice.value()) if word.startswith(("/", "file:")) or ".." in word or "$" in word
    )
    return "which leads elsewhere" if "." not in choice.key_or_group and any(leads) else None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, (list, Mapping)):
            yield from _strings(each)
        elif each is not None:
            yield str(each)


def held_by_checkpoints(word: str) -> bool:
    """Whether a word of a command line is a choice that need not be repeated, or names the checkpoint.

    Example:
        >>> [held_by_checkpoints(word) for word in ("train.py", "neuron=adex", "checkpoint=a.ckpt", "trusted=[lab]")]
        [False, True, True, False]
    """
    parsed = _parsed(word) if _is_override(word) else None
    key = "" if parsed is None else _key(parsed)
    return parsed is not None and key not in ("trusted", "folder") and key.partition(".")[0] != "hydra"


def check_choices(
    checkpoint: Mapping[str, Any], config: Mapping[str, Any], path: str, trusted: Sequence[str] = ()
) -> None:
    """Raise ``ValueError`` unless a configuration is that of a checkpoint, but for what the command line has changed.

    Args:
        checkpoint: with the configuration of its run.
        config: of this run, without interpolations.
        path: of the checkpoint.
        trusted: see :func:`~torchdyn_neuro.training.kinds.resolve`.
    """
    before = checkpoint["config"]
    stored = choices_in(checkpoint, path)
    own: list[str] = list(OWN_COMMAND)
    if HydraConfig.initialized():
        task = list(HydraConfig.get().overrides.task)
        own += [_key(_parsed(word)) for word in task if word not in stored]
        dropped = [choice for choice in stored if choice not in task and not _below(_key(_parsed(choice)), own)]
        if dropped:
            raise ValueError(
                f"checkpoint: expected the choices of the run of {path!r}, got a command without {dropped[0]}; let the "
                "program begin with sys.argv[1:] = with_choices(sys.argv[1:]), as train.py does, or add it"
            )
        # Where nothing else is chosen: what follows from a change, such as another dt everywhere, is no contradiction.
        if [*changed(before, config, own)]:
            config = _composed(stored, path, trusted)
        differences = [*changed(before, config, own)]
        if differences:
            # The one that others follow from.
            key, old, new = min(differences, key=lambda each: each[0].count("."))
            raise ValueError(
                f"checkpoint: expected {key} to be {old!r} as in {path!r}, got {new!r} from the files of the "
                f"configuration; say which on the command line: {key}=..."
            )


def _composed(choices: Sequence[str], path: str, trusted: Sequence[str]) -> Mapping[str, Any]:
    """The configuration that a run would make of these choices today."""
    job = HydraConfig.get()
    try:
        found = compose(job.job.config_name, [*job.overrides.hydra, *choices])
    except HydraException as error:
        raise ValueError(
            f"checkpoint: expected a configuration that takes the choices in {path!r}, got {error}; name other choices "
            "on the command line"
        ) from error
    keys = [_key(_parsed(choice)) for choice in choices]
    return without_foreign_arguments(check_settings(OmegaConf.to_container(found, resolve=True)), keys, trusted)


def changed(
    before: Mapping[str, Any], now: Mapping[str, Any], own: Sequence[str] = OWN_COMMAND, prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """The keys with another value than before, and both values; ``own`` keys, and new ones, are left out.

    Example:
        >>> list(changed({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 4}, "e": 5}, ["d"]))
        [('a.c', 2, 4)]
    """
    for name, old in before.items():
        key = f"{prefix}{name}"
        if _below(key, own):
            continue
        new = now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from changed(old, new, own, f"{key}.")
        elif old != new:
            yield key, old, new


def _is_override(word: str) -> bool:
    return not word.startswith("-") and ("=" in word or word.startswith("~"))


def _parsed(word: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException:
        return None


def _key(choice: Override) -> str:
    return choice.key_or_group.replace("/", ".")


def _below(key: str, keys: Iterable[str]) -> bool:
    """Whether a key is one of these, or lies within one."""
    return any(key == other or key.startswith(f"{other}.") for other in keys)
