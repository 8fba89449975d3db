"""Layers one after the other, with their states threaded through."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from .dynamics import Dynamics
from .randomness import Draw, Noisy, parted, with_numbers
from .state import State, first_frame, first_leaf, map_state
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
                # Only the shape matters: the numbers that a step would draw are left to the steps.
                numbers = map_state(Draw.zeros, layer.random_numbers(frames[-1]) or ()) if dynamic else ()
                state = layer.initial_state(frames[-1]) if dynamic else ()
                frames.append(_step(layer, with_numbers(frames[-1], numbers), state)[0])
        return frames

    @property
    def draws(self) -> bool:
        return any(isinstance(layer, Dynamics) and layer.draws for layer in self)

    def random_numbers(self, x_t: State) -> Noisy | None:
        if not self.draws:
            return None
        layers = zip(self, self._frames(x_t), strict=True)
        return Noisy(
            (),
            part=tuple(
                layer.random_numbers(frame) or () if isinstance(layer, Dynamics) else () for layer, frame in layers
            ),
        )

    def step(self, x_t: State, state: tuple[State, ...]) -> tuple[State, tuple[State, ...]]:
        x_t, numbers = self._parted(self.with_noise(x_t))
        states = []
        for layer, before, drawn in zip(self, state, numbers, strict=True):
            x_t, after = _step(layer, with_numbers(x_t, drawn), before)
            states.append(after)
        return x_t, tuple(states)

    def _parted(self, x: State) -> tuple[State, Sequence[Noisy | None]]:
        """The input and the random numbers of each layer."""
        x, numbers = parted(x)
        return x, numbers or [None] * len(self)

    def scan(self, x: State, state: tuple[State, ...] | None = None) -> tuple[State, tuple[State, ...]]:
        self.check_input(parted(x)[0])
        # All numbers are drawn beforehand, in the order in which the steps of the chain draw them.
        x, numbers = self._parted(self.prepare(x))
        if state is not None:
            self.take_state(first_frame(x), state)
        before = list(state or [None] * len(self))
        after: list[State] = []
        while len(after) < len(self):
            layer = self[len(after)]
            if not isinstance(layer, Dynamics):
                x, states = layer(x), ((),)
            elif _loops_by_itself(layer):
                x, last = layer.scan(with_numbers(x, numbers[len(after)]), before[len(after)])
                states = (last,)
            else:
                x, states = self._scan_run(len(after), x, before, numbers)
            after.extend(states)
        return x, tuple(after)

    def _scan_run(
        self, start: int, x: State, before: list[State], numbers: Sequence[Noisy | None]
    ) -> tuple[State, tuple[State, ...]]:
        """Run the layer at ``start`` and as many after it as the backend takes in one piece."""
        stop = start + 1
        while stop < len(self) and isinstance(self[stop], Dynamics) and not _loops_by_itself(self[stop]):
            stop += 1
        first, x_0 = self[start], first_frame(x)
        first.check_input(x)
        inputs = first.prepare(with_numbers(x, numbers[start]))
        given = before[start]
        states = [first.initial_state(x_0) if given is None else first.take_state(x_0, given)]
        if stop > start + 1 and fuses(first, inputs, states[0]):
            # Inside a fused run every frame has the shape of the first; a state of another shape does not fuse.
            for index in range(start + 1, stop):
                given = before[index]
                states.append(self[index].initial_state(first_leaf(x_0)) if given is None else given)
        for length in range(len(states), 1, -1):
            run, state = self._run(start, start + length), tuple(states[:length])
            drive, _ = parted(inputs)
            if run.draws:
                drive = Noisy(drive, part=tuple(numbers[start : start + length]))
            if fuses(run, drive, state):
                for layer in list(run)[1:]:
                    layer.check_quantities(first_leaf(x))
                return run_time_loop(run, drive, state)
        y, last = run_time_loop(first, inputs, states[0])
        return y, (last,)

    def _run(self, start: int, stop: int) -> "Chain":
        """The layers from ``start`` to ``stop`` as a chain of their own, the same one at every call."""
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
