"""What a run needs to know of data of any kind: the shape of a sample, the number of classes, a first batch."""

from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

MOST_SAMPLES = 128
"""How many samples currents are scaled on."""


class Facts(NamedTuple):
    """shape: of one sample, or of one frame of a sequence; classes: their number; names: of the classes, or none."""

    shape: tuple[int, ...]
    classes: int
    names: tuple[str, ...] = ()


def facts(data: LightningDataModule, *, encoded: bool) -> Facts:
    """The attributes ``shape``, ``classes`` and ``class_names`` of the data; sizes are else found in the training data.

    The shape is that of the first batch, the classes those of one pass over all batches.

    Args:
        data: prepared and set up here only if something is absent.
        encoded: whether samples [B, \\*shape] become sequences by an encoder, or are sequences [B, T, \\*shape].

    Raises:
        ValueError: if the attributes are unusable, or what is absent cannot be found.
    """
    owner, shape, classes = type(data).__name__, getattr(data, "shape", None), getattr(data, "classes", None)
    if shape is None or classes is None:
        data.prepare_data()
        data.setup("fit")
    shape = _shape_found(data, encoded) if shape is None else shape
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"{owner}: expected shape to hold sizes of at least 1, got {shape}; give that of one sample")
    classes = _classes_found(data) if classes is None else classes
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 2:
        raise ValueError(f"{owner}: expected classes to be a number of at least 2, got {classes!r}; give the number")
    names = getattr(data, "class_names", None) or ()
    if names and (len(names) != classes or not all(isinstance(name, str) for name in names)):
        raise ValueError(f"{owner}: expected class_names to hold {classes} words, one for each class, got {names!r}")
    return Facts(shape, classes, tuple(names))


def _shape_found(data: LightningDataModule, encoded: bool) -> tuple[int, ...]:
    samples = _first(data)[0]
    if encoded and samples.ndim in (3, 5):
        sizes = tuple(samples.shape)
        raise ValueError(
            f"{type(data).__name__}: expected a shape, which tells samples from sequences, got batches {list(sizes)} "
            f"and none; sequences [B, T, *] need encoder=none, and samples [B, *] an attribute shape = {sizes[1:]}"
        )
    return tuple(samples.shape[1 if encoded else 2 :])


def _classes_found(data: LightningDataModule) -> int:
    with isolate_rng():
        batches = data.train_dataloader()
        try:
            len(batches)
        except TypeError as error:
            raise ValueError(
                f"{type(data).__name__}: expected classes, got none, and a stream without an end to find them in; give "
                "an attribute classes"
            ) from error
        classes = 1 + max(int(_parts(data, batch)[1].max()) for batch in batches)
    _say(f"{type(data).__name__}: {classes} classes in the training data; an attribute classes saves looking for them")
    return classes


@rank_zero_only
def _say(message: str) -> None:
    print(message, flush=True)


def first_samples(data: LightningDataModule, known: Facts, *, encoded: bool) -> tuple[Tensor, Tensor | None]:
    """Up to 128 training samples as a model meets them, and their lengths if they have any.

    Whatever is drawn for them, a run draws the same numbers afterwards.

    Raises:
        ValueError: if the batches are not those of samples of that shape, with labels below the number of classes.
    """
    with isolate_rng():
        batches = iter(data.train_dataloader())
        first = _parts(data, next(batches, None))
        check_batch(type(data).__name__, first, known, encoded=encoded)
        found, count = [first], len(first[0])
        while count < MOST_SAMPLES and (batch := next(batches, None)) is not None:
            more = _parts(data, batch)
            if more[0].shape[1:] != first[0].shape[1:] or len(more) != len(first):
                break
            found.append(more)
            count += len(more[0])
    samples, _, *lengths = (torch.cat(parts)[:MOST_SAMPLES] for parts in zip(*found, strict=True))
    return samples, lengths[0] if lengths else None


def check_batch(owner: str, batch: tuple[Tensor, ...], known: Facts, *, encoded: bool) -> None:
    """Raise ``ValueError`` unless a batch holds what a run expects.

    Args:
        owner: class of the data, for messages.
        batch: samples, labels, and lengths if there are any.
        known: of the data.
        encoded: whether an encoder makes sequences of the samples.
    """
    samples, labels, *lengths = batch
    sizes, shape = tuple(samples.shape), known.shape
    is_sequence = sizes[2:] == shape or bool(lengths)
    if encoded and is_sequence and sizes[1:] != shape:
        raise ValueError(
            f"{owner}: expected samples [B, {_listed(shape)}] for the encoder, got sequences [B, T, *] of shape "
            f"{list(sizes)}{' with lengths' if lengths else ''}; write encoder=none"
        )
    if not encoded and not is_sequence and sizes[1:] == shape:
        raise ValueError(
            f"{owner}: expected sequences [B, T, {_listed(shape)}], got samples of shape {list(sizes)}; choose what "
            "makes sequences of them, for example encoder=direct_current"
        )
    if sizes[1 if encoded else 2 :] != shape:
        raise ValueError(
            f"{owner}: expected samples [B, {'' if encoded else 'T, '}{_listed(shape)}], got shape {list(sizes)}; "
            "correct the attribute shape, that of one sample or of one frame of a sequence"
        )
    if labels.shape != sizes[:1] or labels.dtype != torch.int64:
        raise ValueError(
            f"{owner}: expected labels [{sizes[0]}] of type int64, got {list(labels.shape)} of {labels.dtype}; "
            "give one class for each sample"
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < known.classes:
        raise ValueError(
            f"{owner}: expected labels from 0 to {known.classes - 1}, got {int(labels.min())} to {int(labels.max())}; "
            "count classes from 0, or correct the attribute classes"
        )


def check_step(data: LightningDataModule, dt: float) -> None:
    """Raise ``ValueError`` unless the data, if they say, come in steps of the network.

    Args:
        data: perhaps with an attribute ``dt``, ms.
        dt: the time step of the network, ms.
    """
    own = getattr(data, "dt", None)
    if isinstance(own, (int, float)) and own != dt:
        raise ValueError(
            f"{type(data).__name__}: expected steps of {dt:g} ms as the network has, got dt={own:g} ms; write "
            f"dt={own:g}, or dt and data.dt (+data.dt for data of your own) both as you want them"
        )


def _first(data: LightningDataModule) -> tuple[Tensor, ...]:
    with isolate_rng():
        return _parts(data, next(iter(data.train_dataloader()), None))


def _parts(data: LightningDataModule, batch: Any) -> tuple[Tensor, ...]:
    """Samples, labels, and lengths if there are any, after what the data do to a batch on its way to the model."""
    owner = type(data).__name__
    if batch is None:
        raise ValueError(f"{owner}: expected training batches, got none; check the files and how the data are split")
    batch = data.on_after_batch_transfer(data.on_before_batch_transfer(batch, 0), 0)
    parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    if len(parts) not in (2, 3) or not all(isinstance(part, Tensor) and part.ndim for part in parts):
        got = ", ".join(f"{type(part).__name__}" for part in parts)
        raise ValueError(
            f"{owner}: expected batches (samples, labels) or (samples, labels, lengths) of tensors, got ({got}); let "
            "the data loader, or its collate_fn, give these"
        )
    return (dense(parts[0]), *parts[1:])


def _listed(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def dense(samples: Tensor) -> Tensor:
    """Sparse samples with their zeros, others as they are."""
    return samples if samples.layout == torch.strided else samples.to_dense()
