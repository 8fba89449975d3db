"""Layers one after the other, with their states threaded through."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from .dynamics import Dynamics
from .state import State, first_frame
from .stepwise import Stepwise, holds_dynamics


class Chain(Dynamics):
    r"""An ``nn.Sequential`` that is itself a :class:`Dynamics`: it has ``scan``, ``step`` and a state.

    Args:
        layers: dynamics and layers without time, in order; see :class:`Stepwise` for the latter.

    Shape:
        - input: [T, B, \*], what the first layer takes
        - state: a tuple with the state of each layer, ``()`` for one that has none
        - output: [T, B, \*], what the last layer gives

    Raises:
        ValueError: if no layer is given, if steps differ in length, or if dynamics hide inside another module.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> net = tdn.Chain(nn.Linear(3, 4), tdn.LIF(), nn.Linear(4, 2), tdn.LeakyIntegrator())
        >>> y, state = net.scan(torch.zeros(10, 1, 3))
        >>> y, state = net.scan(torch.zeros(10, 1, 3), state)
    """

    def __init__(self, *layers: nn.Module):
        for layer in layers:
            if not isinstance(layer, nn.Module):
                raise TypeError(f"Chain: expected modules, got {type(layer).__name__}; pass the layers one by one")
            if not isinstance(layer, Dynamics) and holds_dynamics(layer):
                raise ValueError(
                    f"Chain: expected dynamics as direct layers, got some inside {type(layer).__name__}, where their "
                    "state cannot be threaded; use a Chain there too"
                )
        steps = {layer.dt for layer in layers if isinstance(layer, Dynamics)}
        if not layers or len(steps) > 1:
            got = f"steps of {sorted(steps)} ms" if layers else "no layer"
            raise ValueError(f"Chain: expected layers that share one dt, got {got}; give all of them the same dt")
        super().__init__(dt=steps.pop() if steps else 1.0)
        for index, layer in enumerate(layers):
            self.add_module(str(index), layer)

    def __iter__(self) -> Iterator[nn.Module]:
        # Not children(), which names a module that stands in two places only once.
        return iter(self._modules.values())

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: int) -> nn.Module:
        return list(self)[index]

    def initial_state(self, x_t: State) -> tuple[State, ...]:
        states = []
        for layer in self:
            states.append(layer.initial_state(x_t) if isinstance(layer, Dynamics) else ())
            # Only the shape of the frame matters to the next layer.
            with torch.no_grad(), _without_side_effects(layer):
                x_t, _ = _step(layer, x_t, states[-1])
        return tuple(states)

    def step(self, x_t: State, state: tuple[State, ...]) -> tuple[State, tuple[State, ...]]:
        states = []
        for layer, before in zip(self, state, strict=True):
            x_t, after = _step(layer, x_t, before)
            states.append(after)
        return x_t, tuple(states)

    def scan(self, x: State, state: tuple[State, ...] | None = None) -> tuple[State, tuple[State, ...]]:
        self.check_input(x)
        if state is not None:
            self.check_state(first_frame(x), state)
        states = []
        for layer, before in zip(self, state or [None] * len(self), strict=True):
            if isinstance(layer, Dynamics):
                x, after = layer.scan(x, before)
            else:
                x, after = layer(x), ()
            states.append(after)
        return x, tuple(states)

    def check_state(self, x_t: State, state: State) -> None:
        if not isinstance(state, tuple) or len(state) != len(self):
            raise ValueError(
                f"Chain: expected a tuple of {len(self)} states, one per layer, got {type(state).__name__}; "
                "pass the state that scan() or step() returned"
            )


def _step(layer: nn.Module, x_t: State, state: State) -> tuple[State, State]:
    if isinstance(layer, Dynamics):
        return layer.step(x_t, state)
    return (layer.step(x_t) if isinstance(layer, Stepwise) else layer(x_t)), ()


@contextmanager
def _without_side_effects(layer: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while: no running statistics are touched and no dropout mask is drawn."""
    training = [module for module in layer.modules() if module.training]
    layer.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
