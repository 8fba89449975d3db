"""Trained classifiers in files: safetensors, with the configuration beside it."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..compression import bits_of, quantize
from ..training import Classification, load_checkpoint
from ..training.checkpoints import DATA_KEYS, replacing
from ..training.instantiate import build
from ..training.kinds import MODEL_KINDS

SUFFIX = ".safetensors"
FORMAT = 1
CONFIGURATION = "configuration"
"""Name of the digest of the configuration among the weights: a file knows the one that it was written with."""


def load(path: str | os.PathLike, *, trusted: Sequence[str] = ()) -> Classification:
    r"""A trained classifier, rebuilt from the configuration that was kept with its weights; nothing is executed.

    Args:
        path: a checkpoint of a run (``.ckpt``), or a file written by :func:`save` (``.safetensors``).
        trusted: your own packages that it is built from; nothing in the file can add to them.

    Returns:
        The classifier in evaluation mode: from samples [B, \*], and the lengths [B] of padded sequences, to logits
        [B, classes]; its ``model`` is the network, its ``encoder`` what makes sequences of samples, its
        ``loss.decoder`` what reads the logits, its ``config`` the configuration of the run.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if one is damaged, or the configuration asks for anything but parts of models.

    Example:
        >>> classifier = load("logs/digits/checkpoints/best.ckpt")  # doctest: +SKIP
        >>> classifier(torch.rand(1, 1, 8, 8)).argmax(1)  # doctest: +SKIP
    """
    kept, weights = _read_pair(Path(path)) if Path(path).suffix == SUFFIX else _of_checkpoint(path)
    try:
        config, shape = kept["config"], {key: kept["data"][key] for key in DATA_KEYS}
        parts = {name: config.get(name) for name in ("model", "encoder", "loss")}
        bits = dict(kept.get("bits") or {})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"load: expected the configuration of a classifier with {str(path)!r}, found none ({error}); use a "
            "checkpoint from a run's folder, or what save() wrote"
        ) from error

    def made(name: str, **more: Any) -> Any:
        return build(parts[name], name, trusted=trusted, kinds=MODEL_KINDS, **more)

    classifier = Classification(
        made("model", extra=shape),
        shape["classes"],
        loss=made("loss"),
        encoder=made("encoder"),
        config={key: kept[key] for key in ("config", "data", "choices") if key in kept},
    )
    for name, number in bits.items():
        quantize(classifier.get_submodule(name), number)
    # What a run has besides, the averages of its epochs for example, is not needed.
    own = ("model.", "encoder.", "loss.")
    weights = {name: value for name, value in weights.items() if name.startswith(own)}
    try:
        missing, unexpected = classifier.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ValueError(f"load: expected the weights of this configuration in {str(path)!r}, {error}") from error
    wrong = [*unexpected, *(name for name in missing if name.startswith(own))]
    if wrong:
        raise ValueError(
            f"load: expected the weights of this configuration in {str(path)!r}, got {len(wrong)} that are missing or "
            f"too many, {wrong[0]} for example; keep the two files of one save() together"
        )
    return classifier.eval()


def save(classifier: Classification | str | os.PathLike, path: str | os.PathLike) -> Path:
    """Write a trained classifier as safetensors, with its configuration as JSON beside it.

    Args:
        classifier: what :func:`load` gave, quantized or pruned since if you like, or the checkpoint of a run.
        path: of the file, ``NAME.safetensors``; the configuration goes to ``NAME.json``.

    Returns:
        The path of the weights.

    Raises:
        ValueError: if the path has another ending, or the classifier carries no configuration.

    Example:
        >>> save("logs/digits/checkpoints/best.ckpt", "digits.safetensors")  # doctest: +SKIP
    """
    from safetensors.torch import save as to_bytes

    target = Path(path)
    if target.suffix != SUFFIX:
        raise ValueError(f"save: expected a path that ends in {SUFFIX}, got {str(path)!r}; write {target.stem}{SUFFIX}")
    if not isinstance(classifier, Classification):
        classifier = load(classifier)
    if not {"config", "data"} <= classifier.config.keys():
        raise ValueError(
            "save: expected a classifier with the configuration that it can be rebuilt from, got one without; pass the "
            "checkpoint of a run, or what load() gave"
        )
    # Two names of one tensor become two tensors: safetensors knows no other way.
    weights = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in classifier.state_dict().items()
        if not name.startswith(("averages.", "learning.", "penalties."))
    }
    kept = {"format": FORMAT, **classifier.config, "bits": bits_of(classifier)}
    text = json.dumps(kept, indent=2)
    target.parent.mkdir(parents=True, exist_ok=True)
    replacing(target.with_suffix(".json"), lambda temporary: temporary.write_text(text))
    whole = to_bytes(weights, {CONFIGURATION: _digest(text)})
    replacing(target, lambda temporary: temporary.write_bytes(whole))
    return target


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _of_checkpoint(path: str | os.PathLike) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    checkpoint = load_checkpoint(path)
    return checkpoint, checkpoint["state_dict"]


def _read_pair(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    beside = path.with_suffix(".json")
    for file in (path, beside):
        if not file.is_file():
            raise FileNotFoundError(
                f"load: expected {path.name} and {beside.name} beside each other, found no file {str(file)!r}; save() "
                "writes both"
            )
    try:
        with safe_open(path, "pt") as file:
            names = file.keys()
            weights, written = {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"load: expected a complete file of safetensors, got {str(path)!r}, which is damaged ({error}); get it "
            "again"
        ) from error
    text = beside.read_text()
    if written.get(CONFIGURATION) != _digest(text):
        raise ValueError(
            f"load: expected {str(beside)!r} as it was written with {path.name}, got another configuration or one that "
            "was changed; keep the two files of one save() together"
        )
    try:
        kept = json.loads(text)
    except ValueError as error:
        raise ValueError(f"load: expected JSON in {str(beside)!r}, got something else ({error})") from error
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        got = kept.get("format") if isinstance(kept, dict) else type(kept).__name__
        raise ValueError(
            f"load: expected format {FORMAT} in {str(beside)!r}, got {got!r}; use the version that wrote it"
        )
    return kept, weights
