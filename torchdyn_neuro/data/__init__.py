"""Data sets as LightningDataModules. Needs lightning; scikit-learn and torchvision are imported where used."""

from .digits import Digits
from .image_data import ImageData, Split
from .sampling import ShardedBatches
from .vision import CIFAR10, MNIST, FashionMNIST, KMNIST

__all__ = ["CIFAR10", "KMNIST", "MNIST", "Digits", "FashionMNIST", "ImageData", "ShardedBatches", "Split"]
