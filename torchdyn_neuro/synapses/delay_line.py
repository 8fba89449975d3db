"""What all delays share: the line of past frames in the state, the delay as a quantity, and how a line is read."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.checks import one_of, positive_number
from ..core.dynamics import Dynamics
from ..core.quantities import Constrained, Learned, Quantity
from ..core.state import State, first_frame, register_state, state_dtype, widen


class DelayTime(Constrained):
    """A delay from 0 to ``limit`` ms; a learned one is ``limit * sigmoid(logit(initial / limit) + raw)``.

    Args:
        value: the delay, ms.
        limit: the longest delay that the buffer holds, ms.
        unit: the unit, for messages.

    Example:
        >>> DelayTime(Learned(3.0), limit=10.0)
        DelayTime(3 ms, learned)
    """

    def __init__(self, value: Quantity, *, limit: float = 1.0, unit: str = "ms"):
        super().__init__(value, unit=unit)
        self.limit = limit
        self.expected = f"a delay from 0 to max_delay = {limit:g} ms"

    def transform(self, initial: Tensor, raw: Tensor) -> Tensor:
        return self.limit * torch.sigmoid(torch.logit(initial / self.limit) + raw)

    def allows(self, value: Tensor) -> Tensor:
        return (value > 0) & (value < self.limit) if self.learned else (value >= 0) & (value <= self.limit)


@register_state
class DelayState(NamedTuple):
    """history: the last frames, oldest first, [B, steps, *]."""

    history: Tensor


class DelayLine(Dynamics, ABC):
    r"""Base of the delays: keeps as many past frames as the longest delay needs; a subclass reads them.

    .. math:: y(t) = \sum_l w_l(d)\, x(t - l\, dt), \qquad \sum_l w_l = 1

    Args:
        delay: delay, ms.
        max_delay: what the buffer holds, ms; the longest fixed delay if omitted.
        kernel: ``"linear"`` interpolates between the two nearest frames, ``"gaussian"`` averages around the delay.
        width: standard deviation of the Gaussian at the start, ms.
        final_width: its standard deviation at the end of :meth:`anneal`, ms.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*]
        - state: history [B, steps, \*]

    Raises:
        ValueError: if a delay is negative or longer than ``max_delay``, or learned without ``max_delay``.

    Source: Hammouamri, Khalfaoui-Hassani & Masquelier (2024), ICLR (Gaussian kernels and their annealing).
    """

    pointwise = False

    def __init__(
        self,
        delay: Quantity,
        *,
        max_delay: float | None,
        kernel: str,
        width: float | None,
        final_width: float | None,
        dt: float,
    ):
        super().__init__(dt=dt)
        owner = type(self).__name__
        if max_delay is None:
            if isinstance(delay, Learned):
                raise ValueError(
                    f"{owner}: expected max_delay with a learned delay, got none; pass the longest delay, in ms, that "
                    "it may learn"
                )
            max_delay = float(torch.as_tensor(delay).max())
        limit = positive_number(owner, "max_delay", max_delay, zero=True, unit="ms")
        self.delay = DelayTime(delay, limit=limit)
        self.kernel = one_of(owner, "kernel", kernel, "linear", "gaussian")
        self.steps = _whole_steps(limit / self.dt)
        first = limit / 4 if width is None else positive_number(owner, "width", width, unit="ms")
        self.width_range = (first, dt / 2 if final_width is None else final_width)
        # A tensor, so that annealing recompiles nothing and a checkpoint resumes where it was.
        self.register_buffer("width", torch.tensor(first) if kernel == "gaussian" else None)

    def anneal(self, progress: float) -> None:
        """Set the width of the Gaussian: geometrically from ``width`` (progress 0) to ``final_width`` (progress 1)."""
        if self.width is None:
            raise ValueError(
                f'{type(self).__name__}: expected kernel="gaussian" to anneal, got kernel={self.kernel!r}; '
                "only the Gaussian has a width"
            )
        first, last = self.width_range
        self.width.fill_(first * (last / first) ** min(max(progress, 0.0), 1.0))

    def lag(self) -> Tensor:
        """The delay in steps; a fixed one that misses a whole number by rounding is made whole."""
        lag = self.delay() / self.dt
        if self.delay.learned:
            return lag
        whole, rounding = torch.round(lag), 4 * torch.finfo(lag.dtype).eps * lag.clamp(min=1)
        return torch.where((lag - whole).abs() <= rounding, whole, lag)

    def lag_weights(self) -> Tensor:
        """How much of the frame 0, 1, ... steps ago is read: [steps + 1, the shape of the delay], sums to 1."""
        lag = self.lag()
        lags = torch.arange(self.steps + 1, device=lag.device).reshape(-1, *[1] * lag.ndim)
        if self.width is not None:
            return torch.softmax(-(((lags - lag) * self.dt / self.width) ** 2) / 2, dim=0)
        earlier, part = split_lag(lag)
        nothing = torch.zeros_like(part)
        return torch.where(lags == earlier, 1 - part, nothing) + torch.where(lags == earlier + 1, part, nothing)

    @abstractmethod
    def read(self, line: Tensor) -> Tensor:
        """The outputs [T, B, \\*] from a line of frames [steps + T, B, \\*], oldest first."""

    def initial_state(self, x_t: State) -> DelayState:
        shape = (x_t.shape[0], self.steps, *x_t.shape[1:])
        return DelayState(history=x_t.new_zeros(shape, dtype=state_dtype(x_t)))

    def step(self, x_t: Tensor, state: DelayState) -> tuple[Tensor, DelayState]:
        y, state = self.advance(x_t.unsqueeze(0), state)
        return y.squeeze(0), state

    def scan(
        self, x: Tensor, state: DelayState | None = None, *, output_dtype: torch.dtype | None = None
    ) -> tuple[Tensor, DelayState]:
        self.check_input(x)
        x_0 = first_frame(x)
        state = self.initial_state(x_0) if state is None else self.take_state(x_0, state)
        y, state = self.advance(x, state)
        return (y if output_dtype is None else y.to(output_dtype)), state

    def advance(self, x: Tensor, state: DelayState) -> tuple[Tensor, DelayState]:
        """Several steps at once: a delay needs no loop."""
        line = torch.cat([state.history.transpose(0, 1), widen(x)])
        # A copy: a view would keep the whole line in memory.
        history = line[x.shape[0] :].transpose(0, 1).clone(memory_format=torch.contiguous_format)
        return self.read(line).to(x.dtype), DelayState(history)

    def extra_repr(self) -> str:
        return f"max_delay={self.delay.limit:g} ms, kernel={self.kernel!r}, {super().extra_repr()}"


def _whole_steps(steps: float) -> int:
    return max(0, -int((-steps + 1e-6) // 1))


def split_lag(lag: Tensor) -> tuple[Tensor, Tensor]:
    """The whole number of steps, and the rest, which carries the gradient."""
    earlier = torch.floor(lag.detach())
    return earlier.long(), lag - earlier
