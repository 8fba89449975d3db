"""A trained classifier outside of its training: kept in one file, asked about files, listening to a stream."""

from .live import LiveClassifier
from .rates import RateMeter
from .weights import load, save

__all__ = ["LiveClassifier", "RateMeter", "load", "save"]
