"""A small convolutional network of spiking neurons."""

from collections.abc import Sequence

from torch import nn

from ..core.stepwise import Stepwise
from ..layers.neurons import Neurons
from ..layers.normalization import normalization
from ..neurons import LIF, LeakyIntegrator
from .classifier import SpikingClassifier, check_image, make_readout, spiking_block


class SpikingConvNet(SpikingClassifier):
    r"""Convolution, pooling and neurons in turn, a hidden dense layer, and a readout.

    Currents are pooled, not spikes: neurons then only exist where they are needed.

    Args:
        input_shape: channels, height and width of a sample.
        classes: number of classes.
        channels: channels of each convolution; each is followed by a pooling that halves the image.
        hidden: width of the dense layer before the readout.
        neuron: the neurons of the hidden layers, of which each gets a copy, or a population that makes them.
        synapse: the outgoing synapses of the hidden neurons, copied likewise; none if omitted.
        readout: the output neurons, non-spiking for membrane decoders, spiking for spike counts.
        norm: what keeps the currents of order one: ``"batch"``, ``"threshold"``, ``"layer"`` or ``"none"``.
        dropout: share of spikes that is dropped while training, before the readout.

    Shape:
        - input: [T, B, C, H, W]
        - output: [T, B, classes]

    Raises:
        ValueError: if ``input_shape`` is not that of images, or if they are too small for that many poolings.

    Example:
        >>> import torch
        >>> SpikingConvNet((1, 8, 8), 10, channels=[4, 8], hidden=16)(torch.zeros(4, 2, 1, 8, 8)).shape
        torch.Size([4, 2, 10])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        *,
        channels: Sequence[int] = (16, 32),
        hidden: int = 128,
        neuron: Neurons | None = None,
        synapse: nn.Module | None = None,
        readout: Neurons | None = None,
        norm: str = "batch",
        dropout: float = 0.0,
    ):
        owner = "SpikingConvNet"
        check_image(owner, input_shape, 2 ** len(channels), f"{len(channels)} poolings", "use fewer channels")
        neuron = LIF() if neuron is None else neuron
        layers: dict[str, nn.Module] = {}
        width, height, breadth = input_shape
        for index, features in enumerate(channels):
            convolution = nn.Conv2d(width, features, 3, padding=1, bias=norm == "none")
            weights = {
                "conv": Stepwise(convolution),
                "pool": Stepwise(nn.MaxPool2d(2)),
                "norm": normalization(owner, norm, features, 2),
            }
            layers |= spiking_block(owner, index, weights, neuron, synapse, [features, 1, 1])
            width, height, breadth = features, height // 2, breadth // 2
        layers["flatten"] = nn.Flatten(start_dim=2)
        weights = {
            "linear": nn.Linear(width * height * breadth, hidden, bias=norm == "none"),
            "norm": normalization(owner, norm, hidden),
        }
        layers |= spiking_block(owner, len(channels), weights, neuron, synapse, [hidden])
        if dropout:
            layers["dropout"] = nn.Dropout(dropout)
        layers["classify"] = nn.Linear(hidden, classes)
        layers["readout"] = make_readout(readout, classes, LeakyIntegrator(dt=neuron.dt))
        super().__init__(input_shape, layers)
