"""The small image data sets of torchvision."""

import math
from pathlib import Path
from typing import Any

import torch

from .image_data import ImageData, Split


class TorchvisionData(ImageData):
    """Base of the data sets that torchvision reads: subclasses only name them.

    Args:
        root: folder that holds the data set, or into which it is downloaded.
        download: fetch the data set if it is missing.
        validation: number of training images, the same of each class, that are kept for validation.
        batch_size: size of a batch, over all processes together.
        shift: training images are moved by up to so many pixels in each direction, at random.
        flip: training images are mirrored with probability one half.
        seed: seed of the order of the samples.

    Raises:
        FileNotFoundError: from ``setup``, if the data set is missing and cannot be fetched.
        ValueError: from ``setup``, if a file is damaged, or training images and labels are not as many.
    """

    def __init__(
        self,
        *,
        root: str = "data",
        download: bool = True,
        validation: int = 5000,
        batch_size: int = 128,
        shift: int = 0,
        flip: bool = False,
        seed: int = 0,
    ):
        super().__init__(batch_size=batch_size, shift=shift, flip=flip, seed=seed)
        self.root, self.download, self.validation = root, download, validation

    def prepare_data(self) -> None:
        for train in (True, False):
            self.read(train)

    def read(self, train: bool) -> Split:
        """The official training or test images."""
        from torchvision import datasets

        name = type(self).__name__
        dataset = getattr(datasets, name)
        command = f'python -c "import torchvision; torchvision.datasets.{name}({self.root!r}, download=True)"'
        try:
            data = self._open(dataset, train)
        except Exception as error:  # what comes out of a damaged file depends on where it is damaged
            broken = damaged_file(dataset, self.root)
            if broken is not None:
                raise ValueError(
                    f"{name}: expected a complete data file, got {str(broken)!r} of {broken.stat().st_size} bytes, "
                    f"which is truncated or damaged; delete it and get it again with: {command}"
                ) from error
            if not isinstance(error, (RuntimeError, OSError)):
                raise
            raise FileNotFoundError(
                f"{name}: expected the data set in the folder {self.root!r}, found none that is complete; get it with: "
                f"{command}"
            ) from error
        pixels = torch.as_tensor(data.data)
        # Colour images come as [N, H, W, C], grey ones as [N, H, W].
        images = pixels.movedim(-1, 1) if pixels.ndim == 4 else pixels.unsqueeze(1)
        labels = torch.as_tensor(data.targets).long()
        if len(labels) != len(images):
            raise ValueError(
                f"{name}: expected as many labels as images, got {len(labels)} and {len(images)} in the folder "
                f"{self.root!r}; delete its files and get them again with: {command}"
            )
        return Split(images.contiguous().float() / 255, labels)

    def _open(self, dataset: type, train: bool) -> Any:
        try:
            return dataset(self.root, train=train, download=False)
        except RuntimeError:
            if not self.download:
                raise
            return dataset(self.root, train=train, download=True)

    def load(self) -> dict[str, Split]:
        training, test = self.read(train=True), self.read(train=False)
        val, train = _hold_out(training.labels, self.validation // self.classes)
        return {
            "train": Split(training.images[train], training.labels[train]),
            "val": Split(training.images[val], training.labels[val]),
            "test": test,
        }


def damaged_file(dataset: type, root: str) -> Path | None:
    """The first file of a torchvision data set that is there, but not as it was published.

    Args:
        dataset: ``MNIST`` or one that is kept as it is, or ``CIFAR10``.
        root: the folder that was given to it.
    """
    from torchvision.datasets.utils import check_integrity

    if hasattr(dataset, "base_folder"):
        folder = Path(root) / dataset.base_folder
        sums = {folder / name: md5 for name, md5 in [*dataset.train_list, *dataset.test_list]}
        sums[folder / dataset.meta["filename"]] = dataset.meta["md5"]
        wrong = (path for path, md5 in sums.items() if path.is_file() and not check_integrity(path, md5))
    else:
        folder = Path(root) / dataset.__name__ / "raw"
        paths = [folder / Path(url).stem for url, _ in dataset.resources]
        # Files of an early torchvision, which it still reads in the place of the others.
        legacy = [folder.parent / "processed" / name for name in (dataset.training_file, dataset.test_file)]
        whole = (_is_tensors, legacy) if all(path.is_file() for path in legacy) else (_is_idx, paths)
        wrong = (path for path in whole[1] if path.is_file() and not whole[0](path))
    return next(wrong, None)


def _is_idx(path: Path) -> bool:
    """Whether a file has the length that its header announces, in the format of MNIST: unsigned bytes."""
    with path.open("rb") as file:
        magic = file.read(4)
        sizes = file.read(4 * magic[3]) if len(magic) == 4 else b""
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not sizes or len(sizes) != 4 * magic[3]:
        return False
    announced = math.prod(int.from_bytes(sizes[index : index + 4], "big") for index in range(0, len(sizes), 4))
    return announced > 0 and path.stat().st_size == len(magic) + len(sizes) + announced


def _is_tensors(path: Path) -> bool:
    try:
        torch.load(path, weights_only=True)
    except Exception:  # what comes out of a damaged file depends on where it is damaged
        return False
    return True


def _hold_out(labels: torch.Tensor, per_class: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of the last ``per_class`` samples of every class, and of all others."""
    held = torch.zeros_like(labels, dtype=torch.bool)
    for label in labels.unique():
        held[torch.nonzero(labels == label).flatten()[-per_class:]] = per_class > 0
    return torch.nonzero(held).flatten(), torch.nonzero(~held).flatten()


class MNIST(TorchvisionData):
    """70,000 handwritten digits of 28 x 28 pixels. Source: LeCun et al. (1998), Proc. IEEE 86:2278."""

    shape = (1, 28, 28)
    classes = 10


class FashionMNIST(TorchvisionData):
    """70,000 pieces of clothing of 28 x 28 pixels. Source: Xiao, Rasul & Vollgraf (2017), arXiv:1708.07747."""

    shape = (1, 28, 28)
    classes = 10


class KMNIST(TorchvisionData):
    """70,000 Japanese characters of 28 x 28 pixels. Source: Clanuwat et al. (2018), arXiv:1812.01718."""

    shape = (1, 28, 28)
    classes = 10


class CIFAR10(TorchvisionData):
    """60,000 colour photographs of 32 x 32 pixels. Source: Krizhevsky (2009), Learning Multiple Layers of Features."""

    shape = (3, 32, 32)
    classes = 10
