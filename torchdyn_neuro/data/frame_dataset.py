"""Sequences of frames, of whatever type they come in."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .sequence_data import Batch, SequenceData, Sequences
from .splits import hold_out


class FrameSequences(Sequences):
    """Samples that are kept as they come, integer, boolean or sparse, and become float32 when a batch is asked for.

    Args:
        frames: of each sample [T, \\*], dense or sparse.
        labels: class of each, [N].
    """

    def __init__(self, frames: Sequence[Tensor], labels: Tensor):
        self.frames, self.labels = frames, labels
        self.lengths = torch.tensor([len(each) for each in frames], dtype=torch.int64)

    def batch(self, samples: Tensor, epoch: int | None) -> Batch:
        lengths = self.lengths[samples]
        chosen = [self.frames[index] for index in samples.tolist()]
        frames = torch.zeros(len(chosen), int(lengths.max()), *chosen[0].shape[1:])
        for row, each in zip(frames, chosen, strict=True):
            row[: len(each)] = each.to_dense() if each.layout != torch.strided else each
        return frames, self.labels[samples], lengths


class FrameDataset(SequenceData):
    """Any sequences of frames with their labels: ``(frames [T, *shape], label)`` of tensors or arrays.

    Args:
        train, test: data sets or lists of pairs; all are read into memory in ``setup``.
        val: likewise; a share of ``train``, by class, if omitted.
        classes: number of classes.
        class_names: of each class, in their order, for pictures and ``torchdyn-predict``; numbers if omitted.
        validation: that share.
        split_seed: seed of its choice.
        options: those of :class:`SequenceData`.

    Raises:
        ValueError: from ``setup``, naming the sample, if it is empty, not finite or of another shape than the first.

    Example:
        >>> pairs = [(torch.ones(length, 2, dtype=torch.uint8), 0) for length in (3, 1)]
        >>> data = FrameDataset(pairs, pairs, val=pairs, classes=1, batch_size=2)
        >>> frames, labels, lengths = next(iter(data.test_dataloader()))
        >>> frames.shape, frames.dtype, lengths.tolist()
        (torch.Size([2, 3, 2]), torch.float32, [1, 3])
    """

    def __init__(
        self,
        train: Any,
        test: Any,
        *,
        val: Any = None,
        classes: int,
        class_names: Sequence[str] = (),
        validation: float = 0.1,
        split_seed: int = 0,
        **options: Any,
    ):
        super().__init__(**options)
        self.parts = {"train": train, "val": val, "test": test}
        self.classes, self.validation, self.split_seed = classes, validation, split_seed
        self.class_names = tuple(class_names)
        if not len(train):
            raise ValueError("FrameDataset: expected at least one sample in the train split, got none; pass some")
        self.shape = tuple(as_frames(train[0][0]).shape[1:])

    def load(self) -> dict[str, Sequences]:
        found = {name: self._read(name, part) for name, part in self.parts.items() if part is not None}
        if "val" not in found:
            frames, labels = found["train"]
            chosen = hold_out(labels, torch.zeros_like(labels), self.validation, seed=self.split_seed)
            for name, index in zip(("train", "val"), chosen, strict=True):
                found[name] = [frames[place] for place in index.tolist()], labels[index]
        return {name: FrameSequences(*part) for name, part in found.items()}

    def _read(self, name: str, part: Any) -> tuple[list[Tensor], Tensor]:
        owner, frames, labels = type(self).__name__, [], []
        for index in range(len(part)):
            each, label = as_frames(part[index][0]), float(part[index][1])
            values = each if each.layout == torch.strided else each.to_dense()
            if each.ndim < 2 or tuple(each.shape[1:]) != self.shape or not len(each) or not values.isfinite().all():
                raise ValueError(
                    f"{owner}: expected finite frames [T, {', '.join(map(str, self.shape))}] with T from 1 on, got "
                    f"{tuple(each.shape)} in sample {index} of the {name} split; mend it"
                )
            if not (label.is_integer() and 0 <= label < self.classes):
                raise ValueError(
                    f"{owner}: expected a label from 0 to {self.classes - 1}, got {label:g} in sample {index} of the "
                    f"{name} split; mend it, or the number of classes"
                )
            frames.append(each)
            labels.append(int(label))
        return frames, torch.tensor(labels, dtype=torch.int64)


def as_frames(frames: Any) -> Tensor:
    """A tensor of the same values and type; sparse ones stay sparse.

    Example:
        >>> as_frames(np.zeros((3, 2), dtype=np.uint16)).dtype
        torch.int32
    """
    if isinstance(frames, Tensor):
        return frames
    array = np.asarray(frames)
    # Torch computes little with unsigned types.
    wider = {"uint16": np.int32, "uint32": np.int64}.get(array.dtype.name)
    return torch.from_numpy(np.ascontiguousarray(array if wider is None else array.astype(wider)))
