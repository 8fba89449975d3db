"""Stand-ins: a module that reads other tensors in the places of its own."""

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn

Values = Mapping[nn.Module, Mapping[str | None, Tensor]]
"""For each module, the tensors in the places of its parameters and buffers; ``None`` names the value of a quantity."""


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def stand_in(root: nn.Module, values: Values) -> nn.Module:
    """A module like ``root`` that reads ``values``; ``root`` itself is not touched, so threads may share it.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> lif = tdn.LIF(20.0)
        >>> stand_in(lif, {lif.tau_mem: {None: torch.tensor(5.0)}}).tau_mem(), lif.tau_mem()
        (tensor(5.), tensor(20.))
    """
    return _copy(root, values, {})


def _copy(module: nn.Module, values: Values, made: dict[nn.Module, nn.Module]) -> nn.Module:
    if module in made:
        return made[module]
    new = made[module] = module.__class__.__new__(module.__class__)
    attributes = dict(module.__dict__)
    attributes["_parameters"] = dict(module._parameters)
    attributes["_buffers"] = dict(module._buffers)
    for name, value in values.get(module, {}).items():
        if name is None:
            # Hooks have acted on the value where it was computed; they would act on it again.
            attributes.update(bound=value, **{hooks: OrderedDict() for hooks in _HOOKS})
        elif name in module._parameters:
            attributes["_parameters"][name] = value
        else:
            attributes["_buffers"][name] = value
    attributes["_modules"] = {
        name: None if child is None else _copy(child, values, made) for name, child in module._modules.items()
    }
    new.__dict__.update(attributes)
    return new
