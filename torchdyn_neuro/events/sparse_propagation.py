"""Sparse spike propagation: only the weights of neurons that spiked are touched."""

from torch import nn

from ..connections.event_conv2d import EventConv2d
from ..connections.event_linear import EventLinear
from ..core.recurrent import Recurrent

_BY_EVENTS = {nn.Linear: EventLinear.from_linear, nn.Conv2d: EventConv2d.from_conv2d}


def propagate_events(model: nn.Module, *, most_active: float = 0.2) -> nn.Module:
    """Let every ``nn.Linear`` and ``nn.Conv2d`` of a model read the weights of active neurons only, training included.

    Each is replaced by an :class:`~torchdyn_neuro.EventLinear` or :class:`~torchdyn_neuro.EventConv2d` with the same
    parameters; names and state dict stay what they are. A layer whose input is dense notices it and takes the dense
    product. Subclasses and parametrised layers are left alone, and so is the connection of a ``Recurrent``, whose fused
    loop gathers by itself.

    Args:
        model: an ``nn.Sequential``, a ``Chain`` or any other module; changed in place.
        most_active: as in :class:`~torchdyn_neuro.EventLinear`.

    Returns:
        The model; a new layer if it is an ``nn.Linear`` or ``nn.Conv2d`` itself.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> propagate_events(tdn.Chain(nn.Linear(700, 256), tdn.LIF()))[0]
        EventLinear(in_features=700, out_features=256, bias=True, most_active=0.2)
    """
    replaced: dict[nn.Module, nn.Module] = {}

    def replacement(layer: nn.Module) -> nn.Module:
        if layer not in replaced:
            replaced[layer] = _BY_EVENTS[type(layer)](layer, most_active=most_active)
        return replaced[layer]

    if type(model) in _BY_EVENTS:
        return replacement(model)
    for module in list(model.modules()):
        if isinstance(module, Recurrent):
            continue
        # Not named_children(), which names a layer that stands in two places only once.
        for name, child in list(module._modules.items()):
            if type(child) in _BY_EVENTS:
                setattr(module, name, replacement(child))
    return model
