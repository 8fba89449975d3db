"""A network of recurrent spiking layers."""

import math
from collections.abc import Sequence

from torch import nn

from ..layers import LIFPopulation, RecurrentBlock
from ..layers.neurons import Neurons
from ..neurons import LeakyIntegrator
from .classifier import SpikingClassifier, make_readout


class SpikingRecurrentNet(SpikingClassifier):
    r"""Recurrent layers of spiking neurons, and a readout; for sequences, whose frames may have any shape.

    Each layer is a :class:`~torchdyn_neuro.layers.RecurrentBlock`. Read the largest potential over time
    (``MaxMembrane``): a mean lets the gradient through the loop grow with the length of the sequence.

    Args:
        input_shape: shape of one frame without time and batch.
        classes: number of classes.
        hidden: width of each layer.
        neuron: the neurons, of which each layer gets a copy, or a population that makes them; ``LIFPopulation()`` if
            omitted. ``AdLIFPopulation`` and ``ALIFPopulation`` adapt.
        readout: the output neurons; ``LeakyIntegrator`` with a time constant of five steps if omitted.
        gain: scale of the norms at the start; that which suits the population if omitted.
        recurrent_gain: scale of the recurrent weights, orthogonal at the start.
        dropout: share of spikes that is dropped while training.

    Shape:
        - input: [T, B, \*input_shape]
        - output: [T, B, classes]

    Raises:
        ValueError: if the input does not have the shape of the frames.

    Source: the recipe of :class:`~torchdyn_neuro.layers.RecurrentBlock`.

    Example:
        >>> import torch
        >>> SpikingRecurrentNet((700,), 20, hidden=[32])(torch.zeros(4, 2, 700)).shape
        torch.Size([4, 2, 20])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        *,
        hidden: Sequence[int] = (128, 128),
        neuron: Neurons | None = None,
        readout: Neurons | None = None,
        gain: float | None = None,
        recurrent_gain: float = 0.2,
        dropout: float = 0.2,
    ):
        neuron = LIFPopulation() if neuron is None else neuron
        layers: dict[str, nn.Module] = {"flatten": nn.Flatten(start_dim=2)}
        width = math.prod(input_shape)
        for index, features in enumerate(hidden):
            layers[f"block{index}"] = RecurrentBlock(
                width, features, neuron, gain=gain, recurrent_gain=recurrent_gain, dropout=dropout
            )
            width = features
        layers["classify"] = nn.Linear(width, classes)
        layers["readout"] = make_readout(readout, classes, LeakyIntegrator(5 * neuron.dt, dt=neuron.dt))
        super().__init__(input_shape, layers)
