"""Whole networks, built from ``torch.nn`` layers and the dynamics of this library."""

from .classifier import SpikingClassifier
from .convolutional import SpikingConvNet
from .current_scale import CurrentScale
from .perceptron import SpikingPerceptron

__all__ = ["CurrentScale", "SpikingClassifier", "SpikingConvNet", "SpikingPerceptron"]
