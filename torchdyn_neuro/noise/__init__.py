"""Noise that attaches to any spiking cell: ``LIF(noise=WhiteNoise(sigma=0.5))``."""

from .escape import EscapeNoise
from .ornstein_uhlenbeck import OrnsteinUhlenbeckNoise
from .white import WhiteNoise

__all__ = ["EscapeNoise", "OrnsteinUhlenbeckNoise", "WhiteNoise"]
