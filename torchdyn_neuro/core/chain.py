"""Layers one after the other, with their states threaded through."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from .dynamics import Dynamics
from .state import State, first_frame, first_leaf
from .stepwise import Stepwise, holds_dynamics
from .time_loop import fuses, run_time_loop


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

    pointwise = None

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
        self._runs: dict[tuple[int, int], Chain] = {}

    def __iter__(self) -> Iterator[nn.Module]:
        # Not children(), which names a module that stands in two places only once.
        return iter(self._modules.values())

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: int) -> nn.Module:
        return list(self)[index]

    def initial_state(self, x_t: State) -> tuple[State, ...]:
        return tuple(
            layer.initial_state(frame) if isinstance(layer, Dynamics) else ()
            for layer, frame in zip(self, self._frames(x_t), strict=True)
        )

    def _frames(self, x_t: State) -> list[State]:
        """A frame of the shape that each layer gets."""
        frames = [x_t]
        for layer in list(self)[:-1]:
            with torch.no_grad(), _without_side_effects(layer):
                dynamic = isinstance(layer, Dynamics)
                state = layer.initial_state(frames[-1]) if dynamic else ()
                frames.append(_step(layer, frames[-1], state)[0])
        return frames

    def step(self, x_t: State, state: tuple[State, ...]) -> tuple[State, tuple[State, ...]]:
        states = []
        for layer, before in zip(self, state, strict=True):
            x_t, after = _step(layer, x_t, before)
            states.append(after)
        return x_t, tuple(states)

    def scan(self, x: State, state: tuple[State, ...] | None = None) -> tuple[State, tuple[State, ...]]:
        self.check_input(x)
        if state is not None:
            state = self.take_state(first_frame(x), state)
        before = list(state or [None] * len(self))
        after: list[State] = []
        while len(after) < len(self):
            layer = self[len(after)]
            if not isinstance(layer, Dynamics):
                x, states = layer(x), ((),)
            elif _loops_by_itself(layer):
                x, last = layer.scan(x, before[len(after)])
                states = (last,)
            else:
                x, states = self._scan_run(len(after), x, before)
            after.extend(states)
        return x, tuple(after)

    def _scan_run(self, start: int, x: State, before: list[State]) -> tuple[State, tuple[State, ...]]:
        """Run the layer at ``start`` and as many after it as the backend takes in one piece."""
        stop = start + 1
        while stop < len(self) and isinstance(self[stop], Dynamics) and not _loops_by_itself(self[stop]):
            stop += 1
        first, x_0 = self[start], first_frame(x)
        x = first._read(x, axis=2)
        first.check_input(x)
        given = before[start]
        states = [first.initial_state(first_frame(x)) if given is None else first.take_state(first_frame(x), given)]
        if stop > start + 1 and fuses(first, x, states[0]):
            # Inside a fused run every frame has the shape of the first; a state of another shape does not fuse.
            for index in range(start + 1, stop):
                given = before[index]
                states.append(self[index].initial_state(first_leaf(x_0)) if given is None else given)
        for length in range(len(states), 1, -1):
            run, state = self._run(start, start + length), tuple(states[:length])
            if fuses(run, x, state):
                for layer in list(run)[1:]:
                    layer.check_quantities(first_leaf(x))
                return run_time_loop(run, x, state)
        y, last = run_time_loop(first, x, states[0])
        return y, (last,)

    def _run(self, start: int, stop: int) -> "Chain":
        if (start, stop) == (0, len(self)):
            return self
        layers = [self[index] for index in range(start, stop)]
        known = self._runs.get((start, stop))
        if known is None or any(a is not b for a, b in zip(known, layers, strict=True)):
            known = self._runs[start, stop] = Chain(*layers)
        return known

    def take_state(self, x_t: State, state: State) -> State:
        if not isinstance(state, tuple) or len(state) != len(self):
            raise ValueError(
                f"Chain: expected a tuple of {len(self)} states, one per layer, got {type(state).__name__}; "
                "pass the state that scan() or step() returned"
            )
        return state


def _loops_by_itself(layer: Dynamics) -> bool:
    """Whether a layer has a loop of its own, as containers have."""
    return type(layer).scan is not Dynamics.scan


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
