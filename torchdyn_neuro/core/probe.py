"""What a layer would give for a frame: found without a trace."""

import torch
from torch import nn

from .context import without_drawing
from .dynamics import Dynamics
from .layers import step_layer
from .stand_in import likeness, without_hooks
from .state import State, map_state


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
    twin = likeness(layer, _calls_nobody)
    with torch.no_grad(), torch.random.fork_rng(_devices(x_t)):
        y_t, _ = step_layer(twin, row, twin.initial_state(row) if isinstance(twin, Dynamics) else ())
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


def _calls_nobody(module: nn.Module, new: nn.Module) -> None:
    """The change that makes a likeness which calls nobody back and does not train."""
    new.__dict__["training"] = False
    without_hooks(new)
    # What torch calls in the place of forward and of all hooks, those of all modules too.
    new.__dict__["_compiled_call_impl"] = new.forward
