"""A residual network of spiking neurons."""

from collections.abc import Sequence

from torch import nn

from ..core.checks import one_of
from ..core.stepwise import Stepwise
from ..layers import InOrder, MSBlock, SEWBlock
from ..layers.neurons import Neurons, make_neurons
from ..layers.residual import convolution, driven
from ..neurons import LIF, LeakyIntegrator
from .classifier import SpikingClassifier, check_image, make_readout


class SpikingResNet(SpikingClassifier):
    r"""Residual network: a convolution, four stages of residual blocks, a mean over the image, a readout.

    The first block of each stage but the first halves the image and doubles the channels. Images of 112 pixels and more
    start with a convolution of size 7 and a pooling, which quarter them, others with a convolution of size 3.

    Args:
        input_shape: channels, height and width of a frame.
        classes: number of classes.
        block: ``"sew"`` (:class:`~torchdyn_neuro.layers.SEWBlock`) or ``"ms"``
            (:class:`~torchdyn_neuro.layers.MSBlock`).
        depths: number of blocks in each stage; two in each of four make the ResNet-18, (3, 4, 6, 3) the 34.
        width: channels of the first stage.
        neuron: the neurons, copied, or a population that makes them; ``LIF()`` if omitted.
        readout: the output neurons; ``LeakyIntegrator`` if omitted.
        norm: ``"batch"``, ``"threshold"``, ``"layer"`` or ``"none"``.
        dropout: share of what the readout gets that is dropped while training.

    Shape:
        - input: [T, B, C, H, W]
        - output: [T, B, classes]

    Raises:
        ValueError: if ``input_shape`` is not that of images, they are too small for that many stages, or ``block`` or
            ``norm`` is unknown.

    Source: Fang et al. (2021), NeurIPS (SEW); Hu et al. (2024), IEEE TNNLS 36:2353 (MS); He et al. (2016), CVPR.

    Example:
        >>> import torch
        >>> SpikingResNet((1, 8, 8), 10, depths=[1, 1], width=4)(torch.zeros(4, 2, 1, 8, 8)).shape
        torch.Size([4, 2, 10])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        *,
        block: str = "sew",
        depths: Sequence[int] = (2, 2, 2, 2),
        width: int = 64,
        neuron: Neurons | None = None,
        readout: Neurons | None = None,
        norm: str = "batch",
        dropout: float = 0.0,
    ):
        owner, neuron = "SpikingResNet", LIF() if neuron is None else neuron
        kind = {"sew": SEWBlock, "ms": MSBlock}[one_of(owner, "block", block, "sew", "ms")]
        smallest = 2 ** (len(depths) - 1)
        check_image(owner, input_shape, smallest, f"{len(depths)} stages", "pass fewer depths")
        large = min(input_shape[1:]) >= 112
        stem = convolution(owner, input_shape[0], width, size=7 if large else 3, stride=2 if large else 1, norm=norm)
        # A block joined as currents begins with neurons of its own.
        ending = driven(make_neurons(owner, neuron, width, 1, 1)) if block == "sew" else {}
        pool = {"pool": Stepwise(nn.MaxPool2d(3, stride=2, padding=1))} if large else {}
        layers: dict[str, nn.Module] = {"stem": InOrder({**stem, **ending, **pool})}
        channels = width
        for stage, depth in enumerate(depths):
            for index in range(depth):
                stride = 2 if stage and not index else 1
                outputs = width * 2**stage
                layers[f"stage{stage}_{index}"] = kind(channels, outputs, stride=stride, neuron=neuron, norm=norm)
                channels = outputs
        if block == "ms":
            layers["neurons"] = InOrder(driven(make_neurons(owner, neuron, channels, 1, 1)))
        layers |= {"mean": Stepwise(nn.AdaptiveAvgPool2d(1)), "flatten": nn.Flatten(start_dim=2)}
        if dropout:
            layers["dropout"] = nn.Dropout(dropout)
        layers["classify"] = nn.Linear(channels, classes)
        layers["readout"] = make_readout(readout, classes, LeakyIntegrator(dt=neuron.dt))
        super().__init__(input_shape, layers)
