"""Layers that know at which step they are, and take several steps at once."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ..core.checks import one_of
from ..core.dynamics import Dynamics
from ..core.state import State, first_frame


class TimedLayer(Dynamics, ABC):
    r"""Base of the layers that have a state but need no loop over time: a subclass writes :meth:`advance`.

    Args:
        dt: time step, ms; it only has to be that of its neighbours.

    Shape:
        - input: [T, B, \*]
        - output: the same
    """

    pointwise = False

    @abstractmethod
    def advance(self, x: Tensor, state: State, *, fresh: bool) -> tuple[Tensor, State]:
        """Several steps at once: the outputs for the frames ``x`` [T, B, \\*] and the state behind them.

        Args:
            x: frames [T, B, \\*].
            state: the state before them.
            fresh: whether that is known to be the initial one.
        """

    def step(self, x_t: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = self.advance(x_t.unsqueeze(0), state, fresh=False)
        return y.squeeze(0), state

    def scan(
        self, x: Tensor, state: State = None, *, output_dtype: torch.dtype | None = None, input: str = "held"
    ) -> tuple[Tensor, State]:
        if one_of(type(self).__name__, "input", input, "held", "linear") == "linear":
            self._check_linear_input()
        self.check_input(x)
        x_0 = first_frame(x)
        before = self.initial_state(x_0) if state is None else self.take_state(x_0, state)
        y, state = self.advance(x, before, fresh=state is None)
        return (y if output_dtype is None else y.to(output_dtype)), state
