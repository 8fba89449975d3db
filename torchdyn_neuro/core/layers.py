"""How a container runs one of its layers: over a sequence or for one step, from a state, with its hooks.

``nn.Module`` fires hooks where a module is called. A container calls ``scan`` and ``step``, which take a state; where a
layer has hooks, it is called all the same, and its forward pass is what the container wants of it.
"""

from collections.abc import Callable

import torch
from torch import nn

from .context import intercepting, interceptor, real_steps, scan_in_place, step_observer
from .dynamics import Dynamics
from .state import State, map_state
from .stepwise import Stepwise, takes_statistics
from .torch_private import any_global_hook

Run = Callable[[State, State], tuple[State, State]]
"""``(x, state) -> (y, state)``."""


def has_hooks(layer: nn.Module) -> bool:
    """Whether anybody listens when ``layer`` is called."""
    # From the dictionary: attributes of modules take their time, and this is asked in every step.
    own = layer.__dict__
    return bool(
        own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
        or any_global_hook()
    )


def is_plain_linear(layer: nn.Module) -> bool:
    """Whether a layer computes x W^T + b and nothing else: an ``nn.Linear``, or a class that says so of its forward.

    A subclass that overrides ``forward`` may compute anything.
    """
    if "forward" in vars(layer):
        return False
    kind = next(kind for kind in type(layer).__mro__ if "forward" in vars(kind))
    return kind is nn.Linear or bool(vars(kind).get("plain_linear", False))


def runs_apart(layer: Dynamics) -> bool:
    """Whether a layer may not run in one piece with its neighbours: it is watched, or changes the width of frames."""
    return has_hooks(layer) or not layer._keeps_width or scan_in_place(layer) is not None


def check_one_clock(owner: Dynamics) -> None:
    """Raise if a part of a container has been given another time step than the container itself."""
    for part in owner._modules.values():
        if isinstance(part, Dynamics):
            if part.dt != owner.dt:
                raise ValueError(
                    f"{type(owner).__name__}: expected one dt, got {owner.dt:g} ms for itself and {part.dt:g} ms for "
                    f"{type(part).__name__}; give the whole model one with tdn.set_dt(model, dt)"
                )
            check_one_clock(part)


def scan_layer(
    layer: Dynamics, x: State, state: State = None, output_dtype: torch.dtype | None = None
) -> tuple[State, State]:
    """``layer.scan``, with the hooks of the layer."""

    def run(x: State, state: State) -> tuple[State, State]:
        scan = scan_in_place(layer)
        if scan is not None:
            return scan(layer, x, state, output_dtype)
        # A layer that has written its own scan need not know the argument that nobody uses.
        return layer.scan(x, state) if output_dtype is None else layer.scan(x, state, output_dtype=output_dtype)

    return _called(layer, x, state, run) if has_hooks(layer) else run(x, state)


def step_layer(layer: nn.Module, x_t: State, state: State) -> tuple[State, State]:
    """One step of a layer, with its hooks; a layer without time has the state ``()``."""
    if not isinstance(layer, Dynamics):
        return _without_time(layer, x_t), ()
    y_t, after = _called(layer, x_t, state, layer.step) if has_hooks(layer) else layer.step(x_t, state)
    observer = step_observer()
    if observer is not None:
        observer(layer, y_t)
    return y_t, after


def _without_time(layer: nn.Module, x_t: State) -> State:
    if real_steps() is not None and takes_statistics(layer):
        raise ValueError(
            f"{type(layer).__name__}: expected no norm over the batch inside a loop over time for padded sequences, "
            "whose padding it would count, got one that trains; put it in front of the loop, call eval() on it, or "
            "make batches of one length"
        )
    if not isinstance(layer, Stepwise):
        return layer(x_t)
    if not has_hooks(layer):
        return layer.step(x_t)
    return map_state(lambda y: y.squeeze(0), layer(map_state(lambda leaf: leaf.unsqueeze(0), x_t)))


def _called(layer: Dynamics, x: State, state: State, run: Run) -> tuple[State, State]:
    """``layer(x)`` with ``run`` in the place of its forward pass: its output, which hooks may change, and the state."""
    outer, ends = interceptor(), []

    def stand_in(module: Dynamics, x: State) -> State:
        if module is not layer or ends:
            return module.scan(x)[0] if outer is None else outer(module, x)
        y, end = run(x, state)
        ends.append(end)
        return y

    with intercepting(stand_in):
        y = layer(x)
    if not ends:
        raise RuntimeError(
            f"{type(layer).__name__}: expected its forward pass to run when called with hooks inside a container, got "
            "none; let forward(x) call super().forward(x)"
        )
    return y, ends[0]
