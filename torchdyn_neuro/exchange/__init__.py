"""Models from and for other libraries: NIR, snnTorch, SpikingJelly."""

from .delayed_reset import DelayedReset
from .from_nir import from_nir
from .from_snntorch import from_snntorch
from .from_spikingjelly import from_spikingjelly
from .spike_threshold import SpikeThreshold
from .to_nir import to_nir

__all__ = ["DelayedReset", "SpikeThreshold", "from_nir", "from_snntorch", "from_spikingjelly", "to_nir"]
