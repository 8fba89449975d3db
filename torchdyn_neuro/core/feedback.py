"""What a network feeds back to itself."""

from typing import TYPE_CHECKING

from torch import Tensor

from .state import State

if TYPE_CHECKING:
    from .network import Network, NetworkState


def source_of(network: "Network", neuron: State) -> Tensor:
    """What a network without a delay feeds back from a state of its neurons: their output, or a field of the state."""
    return network.neuron.observe(neuron) if network.source == "output" else getattr(neuron, network.source)


def fed_back(network: "Network", state: "NetworkState") -> Tensor:
    """What is fed back in a step that begins with ``state``, as it is kept."""
    if not network.steps:
        return source_of(network, state.neuron)
    return state.output if network.steps == 1 else state.output[0]
