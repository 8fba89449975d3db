"""A transformer of spiking neurons."""

from collections.abc import Sequence

from torch import nn

from ..core.checks import whole_number
from ..core.stepwise import Stepwise
from ..layers import PositionBlock, SpikformerBlock
from ..layers.neurons import Neurons
from ..layers.residual import convolution
from ..neurons import LIF, LeakyIntegrator
from .classifier import SpikingClassifier, check_image, make_readout, spiking_block


class SpikingTransformer(SpikingClassifier):
    r"""Spikformer: convolutions with neurons cut an image into tokens, blocks of spiking self-attention, a readout.

    Args:
        input_shape: channels, height and width of a frame.
        classes: number of classes.
        features: features of a token.
        depth: number of blocks.
        heads: number of heads, which divides ``features``.
        expansion: how many times wider the hidden layers of the blocks are.
        poolings: convolutions in front, each with a pooling that halves the image; the last has ``features`` channels,
            each before it half as many as the next.
        neuron: the neurons, copied, or a population that makes them; ``LIF()`` if omitted.
        readout: the output neurons; ``LeakyIntegrator`` if omitted.
        norm: ``"batch"``, ``"threshold"``, ``"layer"`` or ``"none"``.

    Shape:
        - input: [T, B, C, H, W]
        - output: [T, B, classes]

    Raises:
        ValueError: if ``input_shape`` is not that of images, they are too small for that many poolings, or ``features``
            cannot be divided so often.

    Source: Zhou et al. (2023), Spikformer, ICLR.

    Example:
        >>> import torch
        >>> model = SpikingTransformer((1, 8, 8), 10, features=16, depth=1, poolings=1)
        >>> model(torch.zeros(4, 2, 1, 8, 8)).shape
        torch.Size([4, 2, 10])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        *,
        features: int = 128,
        depth: int = 2,
        heads: int = 4,
        expansion: int = 4,
        poolings: int = 2,
        neuron: Neurons | None = None,
        readout: Neurons | None = None,
        norm: str = "batch",
    ):
        owner, neuron = "SpikingTransformer", LIF() if neuron is None else neuron
        whole_number(owner, "poolings", poolings, 1)
        check_image(owner, input_shape, 2**poolings, f"{poolings} poolings", "pass fewer poolings")
        if features % 2 ** (poolings - 1):
            raise ValueError(
                f"{owner}: expected features that can be halved {poolings - 1} times, got {features}; pass a multiple "
                f"of {2 ** (poolings - 1)}"
            )
        layers: dict[str, nn.Module] = {}
        width = input_shape[0]
        for index in range(poolings):
            channels = features // 2 ** (poolings - 1 - index)
            parts = {**convolution(owner, width, channels, norm=norm), "pool": Stepwise(nn.MaxPool2d(2))}
            layers |= spiking_block(owner, index, parts, neuron, None, [channels, 1, 1])
            width = channels
        layers |= {"position": PositionBlock(features, neuron=neuron, norm=norm), "tokens": nn.Flatten(start_dim=3)}
        for index in range(whole_number(owner, "depth", depth, 1)):
            layers[f"block{index}"] = SpikformerBlock(features, heads, neuron=neuron, expansion=expansion, norm=norm)
        layers |= {"mean": Stepwise(nn.AdaptiveAvgPool1d(1)), "flatten": nn.Flatten(start_dim=2)}
        layers["classify"] = nn.Linear(features, classes)
        layers["readout"] = make_readout(readout, classes, LeakyIntegrator(dt=neuron.dt))
        super().__init__(input_shape, layers)
