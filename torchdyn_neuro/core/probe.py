"""What a layer would give for a frame: found without a trace."""

from collections import OrderedDict
from typing import Any

import torch
from torch import nn

from .context import without_drawing
from .dynamics import Dynamics
from .layers import step_layer
from .state import State, map_state

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def next_frame(layer: nn.Module, x_t: State) -> State:
    """A frame of the shape and type that ``layer`` gives for the frame ``x_t``; its values mean nothing.

    One row of the batch goes through a likeness of the layer: no hook fires, no running statistics move, no random
    numbers are taken from torch's generators.

    Args:
        layer: dynamics, or a layer without time.
        x_t: a frame [B, \\*].
    """
    if torch.compiler.is_compiling():
        return _while_compiling(layer, x_t)
    rows: list[int] = []

    def first_row(leaf: torch.Tensor) -> torch.Tensor:
        rows.append(leaf.shape[0])
        return leaf[:1]

    row = map_state(first_row, x_t)
    likeness = _likeness(layer, {})
    with torch.no_grad(), torch.random.fork_rng(_devices(x_t)):
        y_t, _ = step_layer(likeness, row, likeness.initial_state(row) if isinstance(likeness, Dynamics) else ())
    return map_state(lambda leaf: leaf.expand(rows[0], *leaf.shape[1:]), y_t)


def _while_compiling(layer: nn.Module, x_t: State) -> State:
    """The same with the layer itself in evaluation mode, which a compiler can follow."""
    training = [module for module in layer.modules() if module.training]
    layer.eval()
    try:
        with torch.no_grad(), without_drawing():
            return step_layer(layer, x_t, layer.initial_state(x_t) if isinstance(layer, Dynamics) else ())[0]
    finally:
        for module in training:
            module.training = True


def _devices(x_t: State) -> list[torch.device]:
    found: list[torch.device] = []
    map_state(lambda leaf: found.append(leaf.device), x_t)
    return sorted({device for device in found if device.type == "cuda"}, key=str)


def _likeness(module: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
    """A module with the tensors of ``module`` that calls nobody back and does not train; ``module`` is not touched."""
    if module in made:
        return made[module]
    new = made[module] = module.__class__.__new__(module.__class__)
    attributes: dict[str, Any] = dict(module.__dict__)
    attributes["training"] = False
    attributes.update({name: OrderedDict() for name in _HOOKS})
    attributes["_modules"] = {
        name: None if child is None else _likeness(child, made) for name, child in module._modules.items()
    }
    new.__dict__.update(attributes)
    # What torch calls in the place of forward and of all hooks, those of all modules too.
    new.__dict__["_compiled_call_impl"] = new.forward
    return new
