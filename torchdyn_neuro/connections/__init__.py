"""Connections between neurons.

A dense connection is ``nn.Linear``, a convolutional one ``Stepwise(nn.Conv2d(...))``; what is here constrains, thins
out and initialises torch's own layers, and adds those that torch does not have.
"""

from .dale import DaleSigns, dale
from .dale_linear import DaleLinear
from .delayed_linear import DelayedLinear
from .event_conv2d import EventConv2d
from .event_linear import EventLinear
from .fixed_random import FixedRandom
from .fluctuation_driven import fluctuation_driven_, postsynaptic_potential
from .gap_junction import GapJunction
from .lateral_inhibition import LateralInhibition
from .one_to_one import OneToOne
from .plastic_linear import PlasticLinear
from .pooled_sum import PooledSum
from .sparse import SparseMask, sparse
from .sparse_linear import SparseLinear

__all__ = [
    "DaleLinear",
    "DaleSigns",
    "DelayedLinear",
    "EventConv2d",
    "EventLinear",
    "FixedRandom",
    "GapJunction",
    "LateralInhibition",
    "OneToOne",
    "PlasticLinear",
    "PooledSum",
    "SparseLinear",
    "SparseMask",
    "dale",
    "fluctuation_driven_",
    "postsynaptic_potential",
    "sparse",
]
