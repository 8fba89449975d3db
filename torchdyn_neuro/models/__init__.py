"""Whole networks, built from ``torch.nn`` layers and the dynamics of this library."""

from ..activity import CurrentScale
from .classifier import SpikingClassifier
from .convolutional import SpikingConvNet
from .perceptron import SpikingPerceptron
from .rate_classifier import RateClassifier
from .reservoir_classifier import ReservoirClassifier

__all__ = [
    "CurrentScale",
    "RateClassifier",
    "ReservoirClassifier",
    "SpikingClassifier",
    "SpikingConvNet",
    "SpikingPerceptron",
]
