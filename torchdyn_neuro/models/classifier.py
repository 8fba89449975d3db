"""What every feed-forward spiking classifier shares."""

import copy
import warnings
from collections.abc import Sequence

from torch import Tensor, nn

from ..activity import ActivityReport, CurrentScale, calibrate
from ..activity.layers import spiking_layers
from ..core.checks import one_of
from ..core.steady import over_steady
from ..core.stepwise import Stepwise, holds_dynamics


class SpikingClassifier(nn.Module):
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
        super().__init__()
        self.input_shape = tuple(input_shape)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        self.check_input(x)
        for layer in self.children():
            x = layer(x) if holds_dynamics(layer) else over_steady(layer, x, layer)
        return x

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


def normalization(kind: str, features: int, *, image: bool = False) -> nn.Module:
    """The layer that keeps currents of order one: ``"batch"``, ``"layer"`` or ``"none"``."""
    one_of("SpikingClassifier", "norm", kind, "batch", "layer", "none")
    if kind == "batch":
        return Stepwise(nn.BatchNorm2d(features) if image else nn.BatchNorm1d(features))
    if kind == "layer":
        # One group over channels and pixels is layer normalization that does not depend on the image's size.
        return Stepwise(nn.GroupNorm(1, features)) if image else nn.LayerNorm(features)
    return nn.Identity()


def spiking_block(index: int, parts: dict[str, nn.Module], neuron: nn.Module, synapse: nn.Module | None) -> dict:
    """Names and layers of one block: weights and norm, the unit of current, neurons, their outgoing synapses."""
    block = {**parts, "current": CurrentScale(), "neuron": copy.deepcopy(neuron), "synapse": copy.deepcopy(synapse)}
    return {
        f"{name}{index}": layer
        for name, layer in block.items()
        if layer is not None and not isinstance(layer, nn.Identity)
    }
