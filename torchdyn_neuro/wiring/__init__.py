"""How sparse connections are drawn: which neurons are connected, and what their weights and delays are.

All of it is drawn from counters, row by row, on all threads: the same seed gives the same synapses whatever the number
of threads. A rule is a plan; :class:`~torchdyn_neuro.SparseLinear` and
:class:`~torchdyn_neuro.networks.SpikingNetwork` carry it out.
"""

from .distance_dependent import DistanceDependent
from .fixed_in_degree import FixedInDegree
from .fixed_out_degree import FixedOutDegree
from .fixed_probability import FixedProbability
from .fixed_total import FixedTotal
from .given import Given
from .one_to_one import OneToOne
from .values import LogNormal, Normal, Uniform, Values
from .wiring import Wiring

__all__ = [
    "DistanceDependent",
    "FixedInDegree",
    "FixedOutDegree",
    "FixedProbability",
    "FixedTotal",
    "Given",
    "LogNormal",
    "Normal",
    "OneToOne",
    "Uniform",
    "Values",
    "Wiring",
]
