"""A VGG network of spiking neurons."""

from collections.abc import Sequence

from torch import nn

from ..core.stepwise import Stepwise
from ..layers import SpikingDropout
from ..layers.neurons import Neurons
from ..layers.normalization import normalization
from ..layers.residual import convolution
from ..neurons import LIF, LeakyIntegrator
from .classifier import SpikingClassifier, check_image, make_readout, spiking_block


class SpikingVGG(SpikingClassifier):
    r"""VGG: stages of convolutions with neurons, each ending in a pooling, dense layers, and a readout.

    Args:
        input_shape: channels, height and width of a frame.
        classes: number of classes.
        stages: channels of the convolutions in each stage; those of VGG-11 if omitted, (64), (128), (256, 256),
            (512, 512), (512, 512).
        hidden: width of each dense layer.
        neuron: the neurons, copied, or a population that makes them; ``LIF()`` if omitted.
        synapse: the outgoing synapses of the hidden neurons, copied likewise; none if omitted.
        readout: the output neurons; ``LeakyIntegrator`` if omitted.
        norm: ``"batch"``, ``"threshold"``, ``"layer"`` or ``"none"``.
        dropout: share of neurons of the dense layers that is dropped for a whole sequence while training.

    Shape:
        - input: [T, B, C, H, W]
        - output: [T, B, classes]

    Raises:
        ValueError: if ``input_shape`` is not that of images, or they are too small for that many stages.

    Source: Simonyan & Zisserman (2015), ICLR.

    Example:
        >>> import torch
        >>> SpikingVGG((1, 8, 8), 10, stages=[[4], [8, 8]], hidden=[16])(torch.zeros(4, 2, 1, 8, 8)).shape
        torch.Size([4, 2, 10])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        *,
        stages: Sequence[Sequence[int]] = ((64,), (128,), (256, 256), (512, 512), (512, 512)),
        hidden: Sequence[int] = (512,),
        neuron: Neurons | None = None,
        synapse: nn.Module | None = None,
        readout: Neurons | None = None,
        norm: str = "batch",
        dropout: float = 0.0,
    ):
        owner, neuron = "SpikingVGG", LIF() if neuron is None else neuron
        check_image(owner, input_shape, 2 ** len(stages), f"{len(stages)} poolings", "pass fewer stages")
        layers: dict[str, nn.Module] = {}
        (width, height, breadth), index = input_shape, 0
        for number, stage in enumerate(stages):
            for channels in stage:
                parts = convolution(owner, width, channels, norm=norm)
                layers |= spiking_block(owner, index, parts, neuron, synapse, [channels, 1, 1])
                width, index = channels, index + 1
            layers[f"pool{number}"] = Stepwise(nn.MaxPool2d(2))
            height, breadth = height // 2, breadth // 2
        layers["flatten"] = nn.Flatten(start_dim=2)
        width *= height * breadth
        for features in hidden:
            linear = nn.Linear(width, features, bias=norm == "none")
            parts = {"linear": linear, "norm": normalization(owner, norm, features)}
            layers |= spiking_block(owner, index, parts, neuron, synapse, [features])
            if dropout:
                layers[f"dropout{index}"] = SpikingDropout(dropout, dt=neuron.dt)
            width, index = features, index + 1
        layers["classify"] = nn.Linear(width, classes)
        layers["readout"] = make_readout(readout, classes, LeakyIntegrator(dt=neuron.dt))
        super().__init__(input_shape, layers)
