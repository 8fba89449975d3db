"""The neurons of a layer, from what stands for them in its arguments."""

import copy

from ..core.dynamics import Dynamics
from .population import Population

Neurons = Dynamics | Population
"""Neurons to copy, or a population that makes them."""


def make_neurons(owner: str, neuron: Neurons, *shape: int) -> Dynamics:
    """A copy of ``neuron``, or as many as a population makes for a frame of this shape.

    Args:
        owner: who asks, for messages.
        neuron: neurons, whose quantities fit any number of them, or a population.
        shape: axes of a frame behind the batch, of which one is the channels.

    Raises:
        TypeError: if ``neuron`` is neither.
    """
    if isinstance(neuron, Population):
        return neuron(*shape)
    if isinstance(neuron, Dynamics):
        return copy.deepcopy(neuron)
    raise TypeError(
        f"{owner}: expected neuron to be dynamics or a population, got {neuron!r}; pass e.g. LIF() or LIFPopulation()"
    )
