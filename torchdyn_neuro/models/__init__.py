"""Whole networks, built from ``torch.nn`` layers and the dynamics of this library."""

from ..activity import CurrentScale
from .classifier import SpikingClassifier
from .convolutional import SpikingConvNet
from .delay import SpikingDelayNet
from .perceptron import SpikingPerceptron
from .rate_classifier import RateClassifier
from .recurrent import SpikingRecurrentNet
from .reservoir_classifier import ReservoirClassifier
from .resnet import SpikingResNet
from .transformer import SpikingTransformer
from .vgg import SpikingVGG

__all__ = [
    "CurrentScale",
    "RateClassifier",
    "ReservoirClassifier",
    "SpikingClassifier",
    "SpikingConvNet",
    "SpikingDelayNet",
    "SpikingPerceptron",
    "SpikingRecurrentNet",
    "SpikingResNet",
    "SpikingTransformer",
    "SpikingVGG",
]
