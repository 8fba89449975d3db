"""The small image data sets of torchvision."""

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
        try:
            data = self._open(getattr(datasets, name), train)
        except (RuntimeError, OSError) as error:
            raise FileNotFoundError(
                f"{name}: expected the data set in the folder {self.root!r}, found none that is complete; get it with: "
                f"python -c \"import torchvision; torchvision.datasets.{name}('{self.root}', download=True)\""
            ) from error
        pixels = torch.as_tensor(data.data)
        # Colour images come as [N, H, W, C], grey ones as [N, H, W].
        images = pixels.movedim(-1, 1) if pixels.ndim == 4 else pixels.unsqueeze(1)
        return Split(images.contiguous().float() / 255, torch.as_tensor(data.targets).long())

    def _open(self, dataset: type, train: bool):
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
