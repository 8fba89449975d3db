"""Encoders: from images or features [B, \\*] to sequences [T, B, \\*]."""

from .bernoulli import Bernoulli
from .direct_current import DirectCurrent
from .latency import Latency
from .poisson import Poisson
from .rows import Rows

__all__ = ["Bernoulli", "DirectCurrent", "Latency", "Poisson", "Rows"]
