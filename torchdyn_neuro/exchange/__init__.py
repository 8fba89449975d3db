"""Models from and for other libraries: NIR, snnTorch, SpikingJelly."""

from .from_nir import from_nir
from .spike_threshold import SpikeThreshold
from .to_nir import to_nir

__all__ = ["SpikeThreshold", "from_nir", "to_nir"]
