"""Dropout with one mask for all of time."""

from typing import NamedTuple

from torch import Tensor

from ..core.checks import positive_number
from ..core.random import start_key, uniform
from ..core.state import register_state, state_dtype
from .timed_layer import TimedLayer


@register_state
class DropoutState(NamedTuple):
    """key: of the random numbers, int64 [B, *]; it stays, so the mask does."""

    key: Tensor


class SpikingDropout(TimedLayer):
    r"""Dropout whose mask is the same in every step of a sequence: a neuron is away for all of it.

    .. math:: y_t = \frac{m\, x_t}{1 - p}, \qquad m \sim \mathrm{Bernoulli}(1 - p) \text{ once per row and neuron}

    ``nn.Dropout`` draws anew in each step, so a membrane averages over its masks and hardly notices them.

    Args:
        p: share of neurons that is dropped while training, below 1.
        dt: time step, ms; it only has to be that of its neighbours.

    Shape:
        - input: [T, B, \*]
        - state: the key of the mask [B, \*]
        - output: as the input

    Raises:
        ValueError: if ``p`` is negative, or 1 and above.

    Source: Lee, Sarwar, Panda, Srinivasan & Roy (2020), Front. Neurosci. 14:119.

    Example:
        >>> import torch
        >>> y = SpikingDropout(0.5)(torch.ones(10, 2, 100))
        >>> bool((y == y[0]).all()), sorted(y.unique().tolist())
        (True, [0.0, 2.0])
    """

    def __init__(self, p: float = 0.5, *, dt: float = 1.0):
        super().__init__(dt=dt)
        self.p = positive_number(type(self).__name__, "p", p, zero=True)
        if self.p >= 1:
            raise ValueError(
                f"{type(self).__name__}: expected p from 0 to below 1, got {p!r}; with 1 and above nothing passes"
            )

    def initial_state(self, x_t: Tensor) -> DropoutState:
        return DropoutState(start_key(x_t))

    def advance(self, x: Tensor, state: DropoutState, *, fresh: bool) -> tuple[Tensor, DropoutState]:
        if not self.training or self.p == 0:
            return x, state
        kept = uniform(state.key, dtype=state_dtype(x)) >= self.p
        return x * (kept / (1 - self.p)).to(x.dtype), state

    def extra_repr(self) -> str:
        return f"p={self.p:g}, {super().extra_repr()}"
