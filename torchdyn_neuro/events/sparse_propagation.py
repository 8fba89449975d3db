"""Sparse spike propagation: only the weights of neurons that spiked are touched."""

from torch import nn

from ..connections.event_linear import EventLinear
from ..core.recurrent import Recurrent


def propagate_events(model: nn.Module, *, most_active: float = 0.2) -> nn.Module:
    """Let every ``nn.Linear`` of a model gather the columns of active neurons, in training and in inference.

    Each is replaced by an :class:`~torchdyn_neuro.EventLinear` with the same parameters; names and state dict stay what
    they are. A layer whose input is dense notices it and takes the dense product. Subclasses and parametrised layers
    are left alone, and so is the connection of a ``Recurrent``, whose fused loop gathers by itself.

    Args:
        model: an ``nn.Sequential``, a ``Chain`` or any other module; changed in place.
        most_active: as in :class:`~torchdyn_neuro.EventLinear`.

    Returns:
        The model; a new layer if it is an ``nn.Linear`` itself.

    Example:
        >>> import torchdyn_neuro as tdn
        >>> propagate_events(tdn.Chain(nn.Linear(700, 256), tdn.LIF()))[0]
        EventLinear(in_features=700, out_features=256, bias=True, most_active=0.2)
    """
    replaced: dict[nn.Linear, EventLinear] = {}

    def replacement(linear: nn.Linear) -> EventLinear:
        if linear not in replaced:
            replaced[linear] = EventLinear.from_linear(linear, most_active=most_active)
        return replaced[linear]

    if type(model) is nn.Linear:
        return replacement(model)
    for module in list(model.modules()):
        if isinstance(module, Recurrent):
            continue
        # Not named_children(), which names a layer that stands in two places only once.
        for name, child in list(module._modules.items()):
            if type(child) is nn.Linear:
                setattr(module, name, replacement(child))
    return model
