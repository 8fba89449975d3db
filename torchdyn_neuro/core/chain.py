"""Layers one after the other, with their states threaded through."""

from collections.abc import Mapping

import torch
from torch import nn

from .checks import one_of
from .dynamics import Dynamics
from .fits import check_fits
from .layered import Layered
from .layers import check_one_clock, runs_apart, scan_layer, step_layer
from .modulated import check_modulator, for_layer, reads_modulator, split_modulator
from .network import Network
from .ode import ODE
from .plastic import Plastic
from .probe import next_frame
from .state import State, describe, first_frame, first_leaf, map_state
from .steady import over_steady
from .stepwise import Stepwise, run_folded
from .time_loop import in_one_piece, run_time_loop

_TAKE_SEQUENCES = (
    *(nn.Linear, nn.Identity, nn.LayerNorm, nn.RMSNorm, nn.Dropout, nn.AlphaDropout),
    *(nn.ReLU, nn.LeakyReLU, nn.ReLU6, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Softsign),
    *(nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Hardshrink, nn.Softshrink),
)
"""Layers of torch that take every leading axis for a batch: they act on elements or on the last axes."""


class Chain(Layered):
    r"""An ``nn.Sequential`` that is itself a :class:`Dynamics`: it has ``scan``, ``step`` and a state.

    A layer without time sees each frame [B, \*] as it does in ``step``: convolutions, pooling, flattening and batch
    normalization run on [T B, \*], time folded into the batch, and ``nn.Linear`` and activations on [T, B, \*].

    Hooks on the layers fire as in ``nn.Sequential``: once for ``scan`` and ``forward``, with the sequences that the
    layer takes and gives (a folded layer: with [T B, \*]), and once for ``step``, with the frames [B, \*]. A layer with
    hooks does not fuse with its neighbours; the result is the same.

    Args:
        layers: dynamics and layers without time, in order, or one dictionary of names and layers.
        named: further layers, by name.

    Shape:
        - input: [T, B, \*], what the first layer takes
        - state: a tuple with the state of each layer, ``()`` for one that has none
        - output: [T, B, \*], what the last layer gives

    Raises:
        ValueError: if no layer is given, if steps differ in length, or if dynamics hide inside another module.
        TypeError: if a layer is no module, or a recurrent one of torch.

    Example:
        >>> import torch, torchdyn_neuro as tdn
        >>> net = tdn.Chain(nn.Linear(3, 4), tdn.LIF(), nn.Linear(4, 2), readout=tdn.LeakyIntegrator())
        >>> y, state = net.scan(torch.zeros(10, 1, 3))
        >>> y, state = net[:2].scan(torch.zeros(10, 1, 3), state[:2])
        >>> net.readout is net[-1]
        True
    """

    pointwise = None

    def __init__(self, *layers: nn.Module | Mapping[str, nn.Module], **named: nn.Module):
        super().__init__(*layers, **named)
        self._runs: dict[tuple[int, int], Chain] = {}

    @property
    def learns(self) -> bool:
        """Whether a layer is :class:`Plastic`, so that the chain runs step by step, as a whole."""
        return any(isinstance(layer, Plastic) or reads_modulator(layer) for layer in self)

    @property
    def modulated(self) -> bool:
        """Whether a learning rule inside reads a neuromodulator, which then comes with the input."""
        return any(reads_modulator(layer) for layer in self)

    def initial_state(self, x_t: State) -> tuple[State, ...]:
        layers, states = list(self), []
        for index, layer in enumerate(layers):
            if isinstance(layer, Plastic) and not any(_answers(behind) for behind in layers[index + 1 :]):
                raise ValueError(
                    "Chain: expected neurons somewhere behind Plastic, which learns from what they put out, got none, "
                    "so that its weights would stay; put it and the neurons into one Chain"
                )
        x_t, modulator = split_modulator(x_t)
        dynamic = [index for index, layer in enumerate(layers) if isinstance(layer, Dynamics)]
        last = dynamic[-1] if dynamic else -1
        for index, layer in enumerate(layers):
            given = for_layer(layer, x_t, modulator)
            states.append(layer.initial_state(given) if isinstance(layer, Dynamics) else ())
            if index < last:
                check_fits("Chain", layer, x_t)
                x_t = next_frame(layer, given)
        return tuple(states)

    def step(self, x_t: State, state: tuple[State, ...]) -> tuple[State, tuple[State, ...]]:
        states: list[State] = []
        learning: list[tuple[int, Plastic, State]] = []
        x_t, modulator = split_modulator(x_t)
        for layer, before in zip(self, state, strict=True):
            given = x_t
            x_t, after = step_layer(layer, for_layer(layer, x_t, modulator), before)
            if _answers(layer):
                # The next neurons, behind a synapse or not, are what a plastic connection has driven.
                for index, plastic, pre in learning:
                    states[index] = plastic.learn(pre, x_t, states[index], neurons=after, modulator=modulator)
                learning = []
            if isinstance(layer, Plastic):
                learning.append((len(states), layer, given))
            states.append(after)
        return x_t, tuple(states)

    def scan(
        self,
        x: State,
        state: tuple[State, ...] | None = None,
        *,
        output_dtype: torch.dtype | None = None,
        input: str = "held",
    ) -> tuple[State, tuple[State, ...]]:
        if one_of(type(self).__name__, "input", input, "held", "linear") == "linear":
            self._check_linear_input()
        self.check_input(x)
        if state is not None:
            self.take_state(first_frame(x), state)
        if self.learns:
            # Its weights follow the layer behind, step by step.
            x_0 = first_frame(x)
            start = self.initial_state(x_0) if state is None else super().take_state(x_0, state)
            return run_time_loop(self, x, start, output_dtype)
        before = list(state or [None] * len(self))
        after: list[State] = []
        while len(after) < len(self):
            start = len(after)
            layer, stop = self[start], self._end_of_run(start)
            dtype = output_dtype if stop == len(self) else None
            if not isinstance(layer, Dynamics):
                x, states = _over_time(layer, x, dtype), ((),)
            elif stop == start + 1:
                x, last = scan_layer(layer, x, before[start], dtype)
                states = (last,)
            else:
                x, states = self._scan_run(start, stop, x, before, output_dtype)
            after.extend(states)
        return x, tuple(after)

    def check_input(self, x: State) -> None:
        super().check_input(x)
        check_modulator(self, x)
        check_one_clock(self)

    def _end_of_run(self, start: int) -> int:
        """Behind the last of the layers from ``start`` on that may run in one piece."""
        stop = start
        while stop < len(self) and _may_fuse(self[stop]):
            stop += 1
        return max(stop, start + 1)

    def _scan_run(
        self, start: int, stop: int, x: State, before: list[State], output_dtype: torch.dtype | None
    ) -> tuple[State, tuple[State, ...]]:
        """Run the layer at ``start`` and as many after it, before ``stop``, as the backend takes in one piece."""
        first = self[start]
        x = first._read(x, axis=2)
        first.check_input(x)
        x_0 = first_frame(x)
        given = before[start]
        states = [first.initial_state(x_0) if given is None else first.take_state(x_0, given)]
        if in_one_piece(first, x, states[0]) is not None:
            # Inside a fused run every frame has the shape of the first; a state of another shape does not fuse.
            for layer, given in zip(list(self)[start + 1 : stop], before[start + 1 : stop], strict=True):
                states.append(layer.initial_state(first_leaf(x_0)) if given is None else given)
        for length in range(len(states), 1, -1):
            run, dtype = self._run(start, start + length), output_dtype if start + length == len(self) else None
            found = None if run is None else in_one_piece(run, x, tuple(states[:length]), dtype)
            if found is not None:
                for layer in list(run)[1:]:
                    layer.check_quantities(first_leaf(x))
                return found()
        y, last = scan_layer(first, x, states[0])
        return y, (last,)

    def _run(self, start: int, stop: int) -> "Chain | None":
        """The layers from ``start`` to ``stop`` as a chain of their own, the same one at every call."""
        if (start, stop) == (0, len(self)):
            return self
        layers, known = [self[index] for index in range(start, stop)], self._runs.get((start, stop))
        if known is None or any(a is not b for a, b in zip(known, layers, strict=True)):
            if torch.compiler.is_compiling():
                return None  # a module made by a compiler is empty for all that is not compiled
            known = self._runs[start, stop] = Chain(*layers)
        return known

    def take_state(self, x_t: State, state: State) -> State:
        if not isinstance(state, (tuple, list)) or len(state) != len(self):
            raise ValueError(
                f"Chain: expected a tuple of {len(self)} states, one per layer, got {describe(state)}; pass the state "
                "that scan() or step() returned"
            )
        for index, (layer, part) in enumerate(zip(self, state, strict=True)):
            if not isinstance(layer, Dynamics) and (not isinstance(part, (tuple, list)) or part):
                raise ValueError(
                    f"Chain: expected () for layer {index}, a {type(layer).__name__} which has no state, got "
                    f"{describe(part)}; pass the state that scan() or step() returned"
                )
        return state


def _answers(layer: nn.Module) -> bool:
    """Whether a layer is neurons, from which a plastic connection in front learns, and not a synapse on the way."""
    return isinstance(layer, (ODE, Network, Chain))


def _may_fuse(layer: nn.Module) -> bool:
    """Whether a layer has no loop of its own, as containers have, and nobody who watches it."""
    return isinstance(layer, Dynamics) and type(layer).scan is Dynamics.scan and not runs_apart(layer)


def _over_time(layer: nn.Module, x: State, output_dtype: torch.dtype | None) -> State:
    """A layer without time on a sequence: what it gives for each frame."""
    check_fits("Chain", layer, x)
    if isinstance(layer, Stepwise):
        y = layer(x)
    else:
        folds = not isinstance(layer, _TAKE_SEQUENCES)
        y = over_steady(layer, x, lambda x: run_folded(layer, x, "Chain") if folds else layer(x))
    return y if output_dtype is None else map_state(lambda leaf: leaf.to(output_dtype), y)
