"""What every feed-forward spiking classifier shares."""

import copy
import warnings
from collections.abc import Sequence

from torch import Tensor, nn

from ..activity import ActivityReport, CurrentScale, calibrate
from ..activity.layers import spiking_layers
from ..core.dynamics import Dynamics
from ..layers.in_order import InOrder
from ..layers.neurons import Neurons, make_neurons
from ..layers.population import Population


class SpikingClassifier(InOrder):
    r"""Base of the feed-forward classifiers: named layers, one after the other.

    A sequence whose frames are all the same (stride zero along time, as :class:`DirectCurrent` puts out) passes the
    layers in front of the first dynamics only once: the result is the same but for rounding, and T times cheaper.
    Dropout draws for each frame.

    Args:
        input_shape: shape of one sample without time and batch.
        layers: names and layers, from input to logits; the names appear in logs and in ``record``.

    Shape:
        - input: [T, B, \*input_shape]
        - output: [T, B, classes]

    Raises:
        ValueError: if the input does not have the shape of the samples.
    """

    def __init__(self, input_shape: Sequence[int], layers: dict[str, nn.Module]):
        super().__init__(layers)
        self.input_shape = tuple(input_shape)

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        return super().forward(x)

    def check_input(self, x: Tensor) -> None:
        """Raise if ``x`` is not [T, B, \\*input_shape]."""
        if x.ndim < 3 or tuple(x.shape[2:]) != self.input_shape:
            expected = ", ".join(["T", "B", *map(str, self.input_shape)])
            raise ValueError(
                f"{type(self).__name__}: expected an input [{expected}], got shape {tuple(x.shape)}; "
                "encode the samples over time and build the model for their shape (input_shape)"
            )

    def calibrate(self, x: Tensor, rate: float = 100.0) -> ActivityReport:
        r"""Bring every spiking layer to a mean rate on a batch: no layer is dead at the start; see :func:`calibrate`.

        Args:
            x: a batch of encoded samples [T, B, \*input_shape].
            rate: mean firing rate to reach, Hz.

        Returns:
            The activity of each layer after its calibration; empty for a network of cells that do not spike.
        """
        self.check_input(x)
        if not spiking_layers(self):
            warnings.warn(
                f"{type(self).__name__}: no layer spikes, so all stay below the {rate:g} Hz asked for, whatever the "
                "current; choose a neuron with a threshold, or calibrate=0 in a configuration",
                stacklevel=2,
            )
            return ActivityReport([])
        return calibrate(self, x, rate=rate)


def spiking_block(
    owner: str,
    index: int,
    parts: dict[str, nn.Module],
    neuron: Neurons,
    synapse: nn.Module | None,
    shape: Sequence[int],
) -> dict[str, nn.Module]:
    """Names and layers of one block: weights and norm, the unit of current, neurons, their outgoing synapses.

    Args:
        owner: which model asks, for messages.
        index: number of the block, behind each name.
        parts: names and layers in front of the neurons.
        neuron: the neurons, copied, or a population.
        synapse: their synapses, copied; none if omitted.
        shape: of the frames that the neurons see, of which a population takes the channels.
    """
    neurons = make_neurons(owner, neuron, *shape)
    block = {**parts, "current": CurrentScale(), "neuron": neurons, "synapse": copy.deepcopy(synapse)}
    return {
        f"{name}{index}": layer
        for name, layer in block.items()
        if layer is not None and not isinstance(layer, nn.Identity)
    }


def make_readout(readout: Neurons | None, classes: int, otherwise: Dynamics) -> Dynamics:
    """The output neurons: as given, as many as a population makes, or ``otherwise``."""
    if readout is None:
        return otherwise
    return readout(classes) if isinstance(readout, Population) else readout


def check_image(owner: str, input_shape: Sequence[int], smallest: int, why: str, advice: str) -> None:
    """Raise unless samples are images [C, H, W] of at least ``smallest`` pixels a side."""
    if len(input_shape) != 3 or min(input_shape[1:]) < smallest:
        raise ValueError(
            f"{owner}: expected images [C, H, W] of at least {smallest} pixels a side for {why}, got input_shape "
            f"{tuple(input_shape)}; {advice}, or SpikingPerceptron"
        )
