"""Where in a model the spikes are."""

from collections.abc import Iterator

from torch import nn

from ...activity.layers import spikes
from ...core.dynamics import Dynamics


def outermost_dynamics(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, Dynamics]]:
    """Names and dynamics of a model, not those inside other dynamics."""
    for name, child in model.named_children():
        if isinstance(child, Dynamics):
            yield prefix + name, child
        else:
            yield from outermost_dynamics(child, f"{prefix}{name}.")


def spiking_layers(model: nn.Module) -> dict[str, Dynamics]:
    """The layers of a model that put out spikes, by name."""
    return {name: layer for name, layer in outermost_dynamics(model) if spikes(layer)}
