"""Images row by row or pixel by pixel, in their order or another."""

from typing import Any

import torch
from torch import Tensor

from ..core.checks import one_of
from .image_data import ImageData, Split, mirrored, moved
from .sequence_data import Batch, SequenceData, Sequences, sample_words


class ImageSequences(Sequences):
    """The images of a split as sequences.

    Args:
        split: the images.
        images: how they are augmented.
        order: ``"rows"`` or ``"pixels"``.
        permutation: of the steps, [T]; none leaves them as they are.
        seed: of the augmentation.
    """

    def __init__(self, split: Split, images: ImageData, order: str, permutation: Tensor | None, seed: int):
        self.images, self.labels = split.images, split.labels
        self.shift, self.flip = images.shift, images.flip
        self.order, self.permutation, self.seed = order, permutation, seed
        self.steps = len(as_steps(split.images[:1], order)[0]) if len(split.images) else 0
        self.lengths = torch.full((len(self.labels),), self.steps)

    def batch(self, samples: Tensor, epoch: int | None) -> Batch:
        images = self.images[samples]
        if epoch is not None:
            words = sample_words(self.seed, epoch, samples)
            if self.shift:
                down, right = (word * (2 * self.shift + 1) >> 32 for word in words[:2])
                images = moved(images, down, right, self.shift)
            if self.flip:
                images = mirrored(images, words[2] >= 2**31)
        frames = as_steps(images, self.order)
        if self.permutation is not None:
            frames = frames[:, self.permutation]
        return frames.contiguous(), self.labels[samples], self.lengths[samples]


def as_steps(images: Tensor, order: str) -> Tensor:
    """Rows [B, H, C W] or pixels [B, H W, C] of images [B, C, H, W].

    Example:
        >>> as_steps(torch.tensor([[[[1, 2], [3, 4]]]]), "pixels").tolist()
        [[[1], [2], [3], [4]]]
    """
    return images.transpose(1, 2).flatten(2) if order == "rows" else images.flatten(2).transpose(1, 2)


class SequentialImages(SequenceData):
    """A set of images as sequences: a row or a pixel at a time, in a random order if wanted.

    Args:
        images: the set of images, whose shifts and flips are those of the training here too.
        order: what a step holds: ``"rows"`` or ``"pixels"``.
        permuted: put the steps into another order, the same for all samples.
        permutation_seed: seed of that order.
        options: those of :class:`SequenceData`, of which ``batch_size`` and ``seed`` are those of the images if not
            given.

    Raises:
        ValueError: if ``order`` is neither of the two.

    Source: Le, Jaitly & Hinton (2015), arXiv:1504.00941 (pixel by pixel, in order and permuted).

    Example:
        >>> from torchdyn_neuro.data import Digits
        >>> frames, labels, lengths = next(iter(SequentialImages(Digits(batch_size=4)).test_dataloader()))
        >>> frames.shape, lengths.tolist()
        (torch.Size([4, 8, 8]), [8, 8, 8, 8])
    """

    def __init__(
        self,
        images: ImageData,
        *,
        order: str = "rows",
        permuted: bool = False,
        permutation_seed: int = 0,
        **options: Any,
    ):
        if not isinstance(images, ImageData):
            raise TypeError(
                f"SequentialImages: expected a set of images, got {type(images).__name__}; pass Digits() for example"
            )
        super().__init__(**{"batch_size": images.batch_size, "seed": images.seed, **options})
        self.images, self.classes = images, images.classes
        self.order = one_of("SequentialImages", "order", order, "rows", "pixels")
        steps, *shape = as_steps(torch.zeros(1, *images.shape), order)[0].shape
        self.shape = tuple(shape)
        generator = torch.Generator().manual_seed(permutation_seed)
        self.permutation = torch.randperm(steps, generator=generator) if permuted else None

    def prepare_data(self) -> None:
        self.images.prepare_data()

    def load(self) -> dict[str, Sequences]:
        self.images.setup()
        return {
            name: ImageSequences(split, self.images, self.order, self.permutation, self.seed)
            for name, split in self.images.splits.items()
        }
