"""Large networks of spiking neurons: named populations and projections, thousands of steps in one call.

What drives a step is the cell of any population as it stands in :mod:`torchdyn_neuro.neurons`; what is sparse about it
is drawn by :mod:`torchdyn_neuro.wiring`.
"""

from .changing import LearningState, ReleaseState
from .drives import Current, Poisson
from .network import SpikingNetwork
from .population import Population
from .projection import Projection
from .running import Piece, Run, SpikingNetworkState
from .simulating import Simulated
from .spike_file import SpikeFile
from .spike_source import SpikeSource
from .spikes import Spikes

__all__ = [
    "Current",
    "LearningState",
    "Piece",
    "Poisson",
    "Population",
    "Projection",
    "ReleaseState",
    "Run",
    "Simulated",
    "SpikeFile",
    "SpikeSource",
    "Spikes",
    "SpikingNetwork",
    "SpikingNetworkState",
]
