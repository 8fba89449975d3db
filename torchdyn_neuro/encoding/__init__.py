"""Encoders: from images or features [B, \\*] to sequences [T, B, \\*]."""

from .bernoulli import Bernoulli
from .direct_current import DirectCurrent
from .latency import Latency
from .poisson import Poisson

__all__ = ["Bernoulli", "DirectCurrent", "Latency", "Poisson"]
