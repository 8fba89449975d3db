"""Where in a model the spikes are."""

from collections.abc import Iterator

from torch import nn

from ...core.chain import Chain
from ...core.dynamics import Dynamics
from ...core.recurrent import Recurrent
from ...core.surrogate import Surrogate


def outermost_dynamics(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, Dynamics]]:
    """Names and dynamics of a model, not those inside other dynamics."""
    for name, child in model.named_children():
        if isinstance(child, Dynamics):
            yield prefix + name, child
        else:
            yield from outermost_dynamics(child, f"{prefix}{name}.")


def spikes(layer: nn.Module) -> bool:
    """Whether the layer puts out spikes: a cell with a surrogate, also inside a container."""
    if isinstance(layer, Recurrent):
        return spikes(layer.neuron)
    if isinstance(layer, Chain):
        return spikes(layer[-1])
    return isinstance(getattr(layer, "surrogate", None), Surrogate)


def spiking_layers(model: nn.Module) -> dict[str, Dynamics]:
    """The layers of a model that put out spikes, by name."""
    return {name: layer for name, layer in outermost_dynamics(model) if spikes(layer)}
