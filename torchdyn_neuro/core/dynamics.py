"""The contract: an equation with recurrent state, as a module."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from .checks import positive_number
from .context import interceptor
from .inputs import refuse_scripting
from .quantities import Constrained, Parametrised
from .randomness import Noisy, draw_frame, draw_sequence, parted
from .state import State, describe, first_frame, first_leaf, leaves, like_state, map_state, state_dtype
from .time_loop import run_time_loop


class Dynamics(Parametrised):
    r"""One equation with recurrent state: the base of every neuron, synapse and container.

    A subclass writes :meth:`initial_state` and :meth:`step`; the base gives :meth:`scan` and :meth:`forward`.
    A module never keeps a state: it is passed in and handed back, so nothing is ever to be reset.

    .. math:: (y_t, s_t) = \mathrm{step}(x_t, s_{t-1})

    Args:
        dt: time step, ms.

    Shape:
        - input of ``forward`` and ``scan``: [T, B, \*]; of ``step``: [B, \*]
        - state: a named tuple of tensors [B, \*], float32 or wider
        - output: as the input, in the input's dtype

    Raises:
        ValueError: if ``dt`` is not positive; from ``scan`` and ``forward`` for wrong shapes.
        TypeError: from ``scan`` and ``forward`` for an input that is not a floating-point tensor.
    """

    pointwise: ClassVar[bool | None] = True
    """Whether the step acts on each element by itself, so that it fuses; ``None`` where the parts decide.

    Only a class that says ``True`` is worth a warning when it does not fuse.
    """

    __prepare_scriptable__ = refuse_scripting

    def __init__(self, *, dt: float = 1.0):
        super().__init__()
        self.dt = positive_number(type(self).__name__, "dt", dt, unit="ms")

    def initial_state(self, x_t: State) -> State:
        """The state before the first step.

        Args:
            x_t: one frame [B, *], which gives shape, device and dtype.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define initial_state(x_t)")

    def step(self, x_t: State, state: State) -> tuple[State, State]:
        """The equation over one time step: ``(x_t, state) -> (y_t, state)``; it changes neither argument."""
        raise NotImplementedError(f"{type(self).__name__} does not define step(x_t, state)")

    def scan(self, x: State, state: State = None, *, output_dtype: torch.dtype | None = None) -> tuple[State, State]:
        """Run over a sequence, with the state explicit.

        Args:
            x: input [T, B, *].
            state: state to start from; the initial one if omitted.
            output_dtype: type of the outputs, for example ``torch.bool`` for spikes that are kept; that of the input
                if omitted. Types without fractions carry no gradient.

        Returns:
            The outputs [T, B, *] and the last state. Two halves of a sequence, the state handed on, give bit for bit
            what the whole gives.
        """
        plain, _ = parted(x)
        self.check_input(plain)
        x_0 = first_frame(plain)
        state = self.initial_state(x_0) if state is None else self.take_state(x_0, state)
        return run_time_loop(self, self.prepare(x), state, output_dtype)

    def forward(self, x: State) -> State:
        """Run over a sequence [T, B, *] from the initial state: a pure function of the sequence."""
        stand_in = interceptor()
        return self.scan(x)[0] if stand_in is None else stand_in(self, x)

    def prepare(self, x: State) -> State:
        """What the time loop is fed: the input, with the random numbers of each step if it takes any."""
        if isinstance(x, Noisy):
            self._check_numbers(x)
            return x
        if not self.draws:
            return x
        return draw_sequence(self.random_numbers(first_frame(x)), first_leaf(x).shape[0])._replace(input=x)

    @property
    def draws(self) -> bool:
        """Whether a step takes random numbers beside the input."""
        return False

    def random_numbers(self, x_t: State) -> Noisy | None:
        """What a step draws beside the frame ``x_t``: :class:`Noisy` without an input, with a ``Draw`` in each place.

        A sequence in pieces, or step by step, draws what the whole does.
        """
        return None

    def with_noise(self, x_t: State) -> State:
        """The frame with freshly drawn random numbers, if a step takes any and the frame has none yet."""
        if not self.draws or isinstance(x_t, Noisy):
            return x_t
        return draw_frame(self.random_numbers(x_t))._replace(input=x_t)

    def quantities(self) -> Iterator[tuple[str, Constrained]]:
        """The quantities of this module (not of its children) and their names."""
        for name, child in self.named_children():
            if isinstance(child, Constrained):
                yield name, child

    def check_input(self, x: State) -> None:
        """Raise if ``x`` is not a sequence [T, B, \\*] of floats that the quantities broadcast to."""
        owner = type(self).__name__
        given = leaves(x)
        if not given:
            raise TypeError(f"{owner}: expected a tensor [T, B, *], got {x!r}; pass a tensor")
        for leaf in given:
            if not isinstance(leaf, Tensor):
                raise TypeError(f"{owner}: expected a tensor [T, B, *], got {type(leaf).__name__}; pass a tensor")
            if not leaf.is_floating_point():
                raise TypeError(f"{owner}: expected a floating-point input, got {leaf.dtype}; call x.float() first")
            if leaf.ndim < 2 or leaf.shape[0] == 0:
                raise ValueError(
                    f"{owner}: expected an input [T, B, *] with T >= 1, got shape {tuple(leaf.shape)}; "
                    "put time first and the batch second, or call step() on one frame [B, *]"
                )
            if leaf.shape[:2] != given[0].shape[:2]:
                raise ValueError(
                    f"{owner}: expected inputs that share [T, B], got {tuple(given[0].shape)} and {tuple(leaf.shape)}; "
                    "give all of them the same number of steps and rows"
                )
        self.check_quantities(given[0])

    def check_quantities(self, x: Tensor) -> None:
        """Raise if a quantity does not fit the neurons [\\*] or the dtype of ``x`` [T, B, \\*]."""
        owner, neurons, wanted = type(self).__name__, x.shape[2:], state_dtype(x)
        for name, quantity in self.quantities():
            start = quantity.start
            shape, dtype = start.shape, start.dtype
            if shape and not _broadcasts(shape, neurons):
                raise ValueError(
                    f"{owner}: expected {name} to broadcast to the neurons {tuple(neurons)}, got shape {tuple(shape)}; "
                    "pass one value or one per neuron"
                )
            if dtype != wanted and torch.promote_types(dtype, torch.float32) != wanted:
                raise TypeError(
                    f"{owner}: expected {name} in {wanted} to match an input in {x.dtype}, got {dtype}; "
                    "convert the module (module.double(), module.float()) or the input"
                )

    def _check_numbers(self, x: Noisy) -> None:
        steps, wanted = first_leaf(x.input).shape[0], self.random_numbers(first_frame(x.input))
        expected = map_state(lambda draw: (steps, *draw.shape), wanted or Noisy(()))
        given = map_state(lambda leaf: tuple(leaf.shape), x._replace(input=()))
        if expected != given:
            raise ValueError(
                f"{type(self).__name__}: expected random numbers of the shapes {expected}, got {given}; pass the input "
                "alone to have them drawn"
            )

    def take_state(self, x_t: State, state: State) -> State:
        """``state`` in the classes of this module, from plain tuples too; raise if it does not go with ``x_t``."""
        expected = self.initial_state(x_t)
        try:
            taken = like_state(expected, state)
        except ValueError:
            taken = state
        if describe(expected) != describe(taken):
            raise ValueError(
                f"{type(self).__name__}: expected a state {describe(expected)} for this input, got {describe(state)}; "
                "pass the state that scan() or step() returned for the same batch"
            )
        return taken

    def extra_repr(self) -> str:
        return f"dt={self.dt:g} ms"


def _broadcasts(shape: torch.Size, target: torch.Size) -> bool:
    if len(shape) > len(target):
        return False
    return all(size in (1, goal) for size, goal in zip(reversed(shape), reversed(target), strict=False))
