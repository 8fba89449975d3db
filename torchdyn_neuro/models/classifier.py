"""What every feed-forward spiking classifier shares."""

import copy
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..core.checks import one_of
from ..core.dynamics import Dynamics
from ..core.stepwise import Stepwise, holds_dynamics
from .current_scale import CurrentScale

# Scales are sought between 2**LOWEST_POWER and 2**HIGHEST_POWER, which spans dimensionless units to pA.
LOWEST_POWER, HIGHEST_POWER = -6, 16


class SpikingClassifier(nn.Module):
    r"""Base of the feed-forward classifiers: named layers, one after the other.

    A sequence whose frames are all the same (stride zero along time, as :class:`DirectCurrent` puts out) passes the
    layers in front of the first dynamics only once: the result is the same and T times cheaper.

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
            x = run_layer(layer, x)
        return x

    def check_input(self, x: Tensor) -> None:
        """Raise if ``x`` is not [T, B, \\*input_shape]."""
        if x.ndim < 3 or tuple(x.shape[2:]) != self.input_shape:
            expected = ", ".join(["T", "B", *map(str, self.input_shape)])
            raise ValueError(
                f"{type(self).__name__}: expected an input [{expected}], got shape {tuple(x.shape)}; "
                "encode the samples over time and build the model for their shape (input_shape)"
            )

    @torch.no_grad()
    def calibrate(self, x: Tensor, rate: float = 100.0) -> dict[str, float]:
        r"""Set every :class:`CurrentScale` so that the neurons behind it fire: no layer is dead at the start.

        Layer by layer, the smallest scale is sought at which the neurons that follow reach the mean rate on ``x``.

        Args:
            x: a batch of encoded samples [T, B, \*input_shape].
            rate: mean firing rate to reach, Hz.

        Returns:
            The mean firing rate of each layer after its calibration, Hz.
        """
        self.check_input(x)
        layers, training, rates = list(self.named_children()), self.training, {}
        for index, (_, layer) in enumerate(layers):
            follower, neuron = layers[index + 1] if index + 1 < len(layers) else ("", None)
            if isinstance(layer, CurrentScale) and isinstance(neuron, Dynamics):
                rates[follower] = _calibrate_layer(layer, neuron, x, rate)
                if rates[follower] < rate / 2:
                    warnings.warn(
                        f"{type(self).__name__}: {follower} fires at {rates[follower]:.1f} Hz, below the {rate:g} Hz "
                        "asked for, whatever the current; give it more time steps or check its threshold",
                        stacklevel=2,
                    )
            # Normalisation by the statistics of this batch, without a trace in the running ones.
            x = (
                run_layer(copy.deepcopy(layer).train(), x)
                if _is_normalised_by_batch(layer)
                else run_layer(layer.eval(), x)
            )
        self.train(training)
        return rates


def run_layer(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer on a sequence; once for all steps if it knows no time and the frames are all the same."""
    static = x.shape[0] > 1 and x.stride(0) == 0
    if static and not holds_dynamics(layer):
        frame = layer(x[:1])
        return frame.expand(x.shape[0], *frame.shape[1:])
    return layer(x)


def normalisation(kind: str, features: int, *, image: bool = False) -> nn.Module:
    """The layer that keeps currents of order one: ``"batch"``, ``"layer"`` or ``"none"``."""
    one_of("SpikingClassifier", "norm", kind, "batch", "layer", "none")
    if kind == "batch":
        return Stepwise(nn.BatchNorm2d(features) if image else nn.BatchNorm1d(features))
    if kind == "layer":
        # One group over channels and pixels is layer normalisation that does not depend on the image's size.
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


def _is_normalised_by_batch(layer: nn.Module) -> bool:
    return isinstance(layer, Stepwise) and isinstance(layer.module, (nn.BatchNorm1d, nn.BatchNorm2d))


def _calibrate_layer(scale: CurrentScale, neuron: Dynamics, x: Tensor, rate: float) -> float:
    """Doubles the scale until the neurons fire fast enough, then halves the gap; returns the rate reached, Hz."""

    def rate_at(power: float) -> float:
        scale.scale.fill_(2.0**power)
        return neuron(scale(x)).float().mean().item() * 1000 / neuron.dt

    powers = range(LOWEST_POWER, HIGHEST_POWER + 1)
    high = next((float(power) for power in powers if rate_at(power) >= rate), None)
    if high is None:
        return rate_at(0.0)
    low = high - 1
    for _ in range(5):
        middle = (low + high) / 2
        low, high = (low, middle) if rate_at(middle) >= rate else (middle, high)
    return rate_at(high)
