"""A feed-forward network whose synapses have learned delays."""

import math
from collections.abc import Sequence

from torch import nn

from ..connections import DelayedLinear
from ..core.quantities import Learned
from ..layers.neurons import Neurons
from ..layers.normalization import normalization
from ..neurons import LIF, LeakyIntegrator
from .classifier import SpikingClassifier, make_readout, spiking_block


class SpikingDelayNet(SpikingClassifier):
    r"""Layers of spiking neurons whose synapses have a learned weight and a learned delay each, and a readout.

    Delays are Gaussians in time, which are wide at the start; ``anneal`` makes them narrow while they train.

    Args:
        input_shape: shape of one frame without time and batch.
        classes: number of classes.
        hidden: width of each layer.
        neuron: the neurons, of which each layer gets a copy, or a population that makes them; LIF with a learned time
            constant that starts at one step if omitted.
        max_delay: longest delay, ms; eight steps if omitted. Delays start uniform below it.
        width: standard deviation of the Gaussians at the start, ms; half of ``max_delay`` if omitted.
        final_width: standard deviation at the end, ms; half a step if omitted.
        readout: the output neurons; ``LeakyIntegrator`` with a time constant of three steps if omitted.
        norm: what keeps the currents of order one: ``"batch"``, ``"threshold"``, ``"layer"`` or ``"none"``.
        dropout: share of spikes that is dropped while training.

    Shape:
        - input: [T, B, \*input_shape]
        - output: [T, B, classes]

    Raises:
        ValueError: if the input does not have the shape of the frames, ``norm`` is none of the four, or a time is not
            positive.

    Source: Hammouamri, Khalfaoui-Hassani & Masquelier (2024), ICLR.

    Example:
        >>> import torch
        >>> SpikingDelayNet((700,), 20, hidden=[32])(torch.zeros(4, 2, 700)).shape
        torch.Size([4, 2, 20])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        classes: int,
        *,
        hidden: Sequence[int] = (128, 128),
        neuron: Neurons | None = None,
        max_delay: float | None = None,
        width: float | None = None,
        final_width: float | None = None,
        readout: Neurons | None = None,
        norm: str = "batch",
        dropout: float = 0.4,
    ):
        owner, neuron = "SpikingDelayNet", LIF(Learned(1.0)) if neuron is None else neuron
        max_delay = 8 * neuron.dt if max_delay is None else max_delay
        layers: dict[str, nn.Module] = {"flatten": nn.Flatten(start_dim=2)}
        inputs = math.prod(input_shape)
        for index, features in enumerate(hidden):
            delayed = DelayedLinear(
                inputs,
                features,
                "uniform",
                max_delay=max_delay,
                bias=norm == "none",
                kernel="gaussian",
                width=max_delay / 2 if width is None else width,
                final_width=final_width,
                dt=neuron.dt,
            )
            parts = {"delayed": delayed, "norm": normalization(owner, norm, features)}
            layers |= spiking_block(owner, index, parts, neuron, None, [features])
            if dropout:
                layers[f"dropout{index}"] = nn.Dropout(dropout)
            inputs = features
        layers["classify"] = nn.Linear(inputs, classes)
        layers["readout"] = make_readout(readout, classes, LeakyIntegrator(3 * neuron.dt, dt=neuron.dt))
        super().__init__(input_shape, layers)

    def anneal(self, progress: float) -> None:
        """Set the widths of all delays: as at the start for 0, the narrowest for 1 and later."""
        for layer in self.children():
            if isinstance(layer, DelayedLinear):
                layer.anneal(progress)
