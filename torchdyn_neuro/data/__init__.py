"""Data sets as LightningDataModules. Needs lightning; scikit-learn and torchvision are imported where used."""

from .digits import Digits
from .image_data import ImageData, Split
from .sampling import ShardedBatches
from .vision import CIFAR10, KMNIST, MNIST, FashionMNIST
from .yin_yang import yin_yang, yin_yang_class

__all__ = [
    "CIFAR10",
    "KMNIST",
    "MNIST",
    "Digits",
    "FashionMNIST",
    "ImageData",
    "ShardedBatches",
    "Split",
    "yin_yang",
    "yin_yang_class",
]
