"""Likenesses of modules, and stand-ins: likenesses that read other tensors in the places of their own."""

from collections import OrderedDict
from collections.abc import Callable, Mapping

from torch import Tensor, nn

Values = Mapping[nn.Module, Mapping[str | None, Tensor]]
"""For each module, the tensors in the places of its parameters and buffers; ``None`` names the value of a quantity."""

Change = Callable[[nn.Module, nn.Module], None]
"""``(module, copy)``: what is different in the copy of a module; it must not change what the two share."""


def likeness(root: nn.Module, change: Change) -> nn.Module:
    """A module like ``root`` with the same tensors, changed in each of its modules; ``root`` itself is not touched.

    Args:
        root: the module; one that stands in several places does so in the likeness.
        change: called once for each module, when its copy has all that is in it.
    """
    return _copy(root, change, {})


def _copy(module: nn.Module, change: Change, made: dict[nn.Module, nn.Module]) -> nn.Module:
    if module in made:
        return made[module]
    new = made[module] = module.__class__.__new__(module.__class__)
    children = {name: None if child is None else _copy(child, change, made) for name, child in module._modules.items()}
    new.__dict__.update(module.__dict__, _modules=children)
    change(module, new)
    return new


def without_hooks(module: nn.Module) -> None:
    """Let a copy call nobody back."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    module.__dict__.update({name: OrderedDict() for name in hooks})


def stand_in(root: nn.Module, values: Values) -> nn.Module:
    """A module like ``root`` that reads ``values``; ``root`` itself is not touched, so threads may share it.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> lif = tdn.LIF(20.0)
        >>> stand_in(lif, {lif.tau_mem: {None: torch.tensor(5.0)}}).tau_mem(), lif.tau_mem()
        (tensor(5.), tensor(20.))
    """

    def read_values(module: nn.Module, new: nn.Module) -> None:
        attributes = new.__dict__
        attributes.update(_parameters=dict(module._parameters), _buffers=dict(module._buffers))
        for name, value in values.get(module, {}).items():
            if name is None:
                # Hooks have acted on the value where it was computed; they would act on it again.
                attributes["bound"] = value
                without_hooks(new)
            elif name in module._parameters:
                attributes["_parameters"][name] = value
            else:
                attributes["_buffers"][name] = value

    return likeness(root, read_values)
