"""A multi-layer perceptron of spiking neurons."""

import math
from collections.abc import Sequence

from torch import nn

from ..layers.neurons import Neurons
from ..layers.normalization import normalization
from ..neurons import LIF, LeakyIntegrator
from .classifier import SpikingClassifier, make_readout, spiking_block


class SpikingPerceptron(SpikingClassifier):
    r"""Multi-layer perceptron: weights, neurons and synapses in turn, and a readout.

    Args:
        input_shape: shape of one sample without time and batch.
        classes: number of classes.
        hidden: width of each hidden layer.
        neuron: the neurons of the hidden layers, of which each gets a copy, or a population that makes them.
        synapse: the outgoing synapses of the hidden neurons, copied likewise; none if omitted.
        readout: the output neurons, non-spiking for membrane decoders, spiking for spike counts.
        norm: what keeps the currents of order one: ``"batch"``, ``"threshold"``, ``"layer"`` or ``"none"``.
        dropout: share of spikes that is dropped while training.

    Shape:
        - input: [T, B, \*input_shape]
        - output: [T, B, classes]

    Raises:
        ValueError: if the input does not have the shape of the samples, or ``norm`` is none of the four.

    Example:
        >>> import torch
        >>> SpikingPerceptron((1, 8, 8), 10, hidden=[32])(torch.zeros(4, 2, 1, 8, 8)).shape
        torch.Size([4, 2, 10])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        *,
        hidden: Sequence[int] = (256,),
        neuron: Neurons | None = None,
        synapse: nn.Module | None = None,
        readout: Neurons | None = None,
        norm: str = "batch",
        dropout: float = 0.0,
    ):
        neuron = LIF() if neuron is None else neuron
        layers: dict[str, nn.Module] = {"flatten": nn.Flatten(start_dim=2)}
        width = math.prod(input_shape)
        for index, features in enumerate(hidden):
            weights = {
                "linear": nn.Linear(width, features, bias=norm == "none"),
                "norm": normalization("SpikingPerceptron", norm, features),
            }
            layers |= spiking_block("SpikingPerceptron", index, weights, neuron, synapse, [features])
            if dropout:
                layers[f"dropout{index}"] = nn.Dropout(dropout)
            width = features
        layers["classify"] = nn.Linear(width, classes)
        layers["readout"] = make_readout(readout, classes, LeakyIntegrator(dt=neuron.dt))
        super().__init__(input_shape, layers)
