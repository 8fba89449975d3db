"""What sets the size of the input of a spiking layer: the weights in front of it, or a scale that is put there."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ..core.chain import Chain
from ..core.dynamics import Dynamics
from ..core.state import State, leaves
from .current_scale import CurrentScale


def scalable(module: nn.Module) -> list[Tensor]:
    """The tensors that scale the output of a layer when all of them are scaled; none if it has no weight of its own.

    Of a parametrized weight they are the originals. Whether the output really follows is for the caller to see.
    """
    if isinstance(module, CurrentScale):
        return [module.scale]
    tensors = []
    for name in ("weight", "bias"):
        if is_parametrized(module, name):
            tensors += list(module.parametrizations[name].parameters(recurse=False))
        elif isinstance(module._parameters.get(name), nn.Parameter):
            tensors.append(module._parameters[name])
        elif name == "weight":
            return []
    return tensors


class Scaling:
    """Multiplies the weights of a layer, and can take it back to the last bit.

    Args:
        module: a layer with a weight.
        factor: what its weight and bias are multiplied by.
    """

    def __init__(self, module: nn.Module, factor: float):
        self.before = [(tensor, tensor.clone()) for tensor in scalable(module)]
        for tensor, _ in self.before:
            tensor.mul_(factor)

    def undo(self) -> None:
        """Back to the weights of before."""
        for tensor, value in self.before:
            tensor.copy_(value)


def put_in_front(model: nn.Module, layer: Dynamics, factor: float) -> bool:
    """Put a :class:`CurrentScale` in front of a layer, in a :class:`Chain` that takes its place in the model.

    Args:
        model: the model; changed in place.
        layer: the layer, which keeps its parameters.
        factor: the scale.

    Returns:
        Whether the layer stands inside the model, so that there is a place.
    """
    places = list(_places(model, layer))
    if places:
        scale = CurrentScale(factor)
        device = next((tensor.device for tensor in (*layer.parameters(), *layer.buffers())), None)
        chain = Chain(scale if device is None else scale.to(device), layer).train(layer.training)
        for parent, name in places:
            parent._modules[name] = chain
    return bool(places)


def _places(model: nn.Module, layer: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    for parent in model.modules():
        for name, child in parent._modules.items():
            if child is layer:
                yield parent, name


def same_memory(x: object) -> int | None:
    """Where a tensor lies, so that one which is a view of another is known by it; ``None`` for anything else."""
    return x.untyped_storage().data_ptr() if isinstance(x, Tensor) else None


def proportional(x: State, before: State, factor: float) -> bool:
    """Whether each tensor is ``factor`` times what it was, but for rounding."""
    for now, then in zip(leaves(x), leaves(before), strict=True):
        wanted = then.double() * factor
        if torch.linalg.vector_norm(now.double() - wanted) > 1e-3 * torch.linalg.vector_norm(wanted):
            return False
    return True
