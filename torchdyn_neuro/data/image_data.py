"""What every data set of small images shares: tensors in memory, checks, augmentation, loaders."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from .sampling import ShardedBatches
from .split_data import SplitData


@dataclass(frozen=True)
class Split:
    """images: [N, C, H, W] within 0 and 1; labels: [N]."""

    images: Tensor
    labels: Tensor


class ImageData(SplitData):
    """Base of the image data sets. A subclass writes :meth:`load`; everything is kept in memory as tensors.

    Args:
        batch_size: size of a batch, over all processes together.
        shift: training images are moved by up to so many pixels in each direction, at random.
        flip: training images are mirrored with probability one half.
        seed: seed of the order of the samples.

    Raises:
        ValueError: from ``setup``, if pixels are not finite, or shapes and labels do not fit.
    """

    shape: tuple[int, int, int]
    classes: int

    def __init__(self, *, batch_size: int = 128, shift: int = 0, flip: bool = False, seed: int = 0):
        super().__init__()
        if batch_size < 1 or shift < 0:
            raise ValueError(
                f"{type(self).__name__}: expected batch_size >= 1 and shift >= 0, got {batch_size} and {shift}; "
                "change data.batch_size or data.shift"
            )
        self.batch_size, self.shift, self.flip, self.seed = batch_size, shift, flip, seed
        self.splits: dict[str, Split] = {}

    def load(self) -> dict[str, Split]:
        """The splits ``train``, ``val`` and ``test``."""
        raise NotImplementedError(f"{type(self).__name__} does not define load()")

    def setup(self, stage: str | None = None) -> None:
        if not self.splits:
            splits = self.load()
            for name, split in splits.items():
                self.check(name, split)
            self.splits = splits

    def check(self, name: str, split: Split) -> None:
        """Raise ``ValueError`` if a split is not what was promised."""
        owner, images, labels = type(self).__name__, split.images, split.labels
        if images.ndim != 4 or tuple(images.shape[1:]) != self.shape or labels.shape != images.shape[:1]:
            raise ValueError(
                f"{owner}: expected {name} images [N, {', '.join(map(str, self.shape))}] and labels [N], got "
                f"{tuple(images.shape)} and {tuple(labels.shape)}; check the files of the data set"
            )
        if not len(labels):
            raise ValueError(
                f"{owner}: expected at least one sample in the {name} split, got none; change how the data are split, "
                "for example data.validation"
            )
        broken = int((~torch.isfinite(images)).sum())
        if broken:
            raise ValueError(
                f"{owner}: expected finite pixels, got {broken} NaN or infinite ones in the {name} images; "
                "clean the data set"
            )
        if labels.dtype != torch.int64 or labels.min() < 0 or labels.max() >= self.classes:
            raise ValueError(
                f"{owner}: expected integer labels from 0 to {self.classes - 1}, got {labels.dtype} from "
                f"{labels.min()} to {labels.max()} in the {name} split; check the files of the data set"
            )

    def loader(self, name: str, *, shuffle: bool) -> DataLoader:
        """Batches of a split; a whole batch is gathered by one indexing of the tensors."""
        self.setup()
        split = self.splits[name]
        batches = ShardedBatches(
            len(split.labels),
            self.batch_size,
            shuffle=shuffle,
            **self.share(),
        )
        # With a generator of its own, a new pass takes no number from the one that augmentation and encoders draw from.
        own = torch.Generator().manual_seed(self.seed)
        return DataLoader(TensorDataset(split.images, split.labels), sampler=batches, batch_size=None, generator=own)

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        images, labels = batch
        if self.trainer and self.trainer.training:
            images = augment(images, self.shift, self.flip)
        return images, labels


def augment(images: Tensor, shift: int, flip: bool) -> Tensor:
    """Random shifts of up to ``shift`` pixels, the border filled with zeros, and random mirroring; [B, C, H, W]."""
    batch, *_ = images.shape
    if shift:
        images = moved(images, *torch.randint(0, 2 * shift + 1, (2, batch), device=images.device), shift)
    if flip:
        images = mirrored(images, torch.rand(batch, device=images.device) < 0.5)
    return images.contiguous()


def moved(images: Tensor, down: Tensor, right: Tensor, most: int) -> Tensor:
    """Each image by its own number of pixels, from 0 to 2 ``most``, less ``most``; the border is filled with zeros."""
    batch, _, height, width = images.shape
    padded = functional.pad(images, (most,) * 4)
    rows = down[:, None] + torch.arange(height, device=images.device)
    columns = right[:, None] + torch.arange(width, device=images.device)
    sample = torch.arange(batch, device=images.device)[:, None, None]
    # Index tensors around a slice put the channels last.
    return padded[sample, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def mirrored(images: Tensor, which: Tensor) -> Tensor:
    """Some of the images with left and right exchanged."""
    return torch.where(which[:, None, None, None], images.flip(-1), images)
