"""What all delays share: the line of past frames in the state, the delay as a quantity, and how a line is read."""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from ..core.checks import one_of, positive_number
from ..core.dynamics import Dynamics
from ..core.quantities import Constrained, Learned, Quantity, readable
from ..core.state import Line, State, first_frame, register_state, state_dtype, widen


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
        super().__init__(value, unit=unit, low=0.0, high=limit)
        self.limit = limit
        self.expected = f"a delay from 0 to max_delay = {limit:g} ms"


@register_state
class DelayState(NamedTuple):
    """history: the last frames, oldest first, [B, steps, *]."""

    history: Line


class DelayLine(Dynamics, ABC):
    r"""Base of the delays: keeps as many past frames as the longest delay needs; a subclass reads them.

    .. math:: y(t) = \sum_l w_l(d)\, x(t - l\, dt), \qquad \sum_l w_l = 1

    Args:
        delay: delay, ms.
        max_delay: what the buffer holds, ms; the longest fixed delay if omitted.
        kernel: ``"linear"`` interpolates between the two nearest frames, ``"gaussian"`` averages around the delay.
        width: standard deviation of the Gaussian at the start, ms; now, as an attribute.
        final_width: its standard deviation at the end of :meth:`anneal`, ms.
        dt: time step, ms.

    Shape:
        - input: [T, B, \*]
        - state: history [B, steps, \*]

    Raises:
        ValueError: if a delay is negative or longer than ``max_delay``, or learned without ``max_delay``; if a width is
            not positive, or given with ``kernel="linear"``.

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
            max_delay = _longest(owner, delay)
        limit = positive_number(owner, "max_delay", max_delay, zero=True, unit="ms")
        self.max_delay = limit
        self.delay = DelayTime(delay, limit=limit)
        self.kernel = one_of(owner, "kernel", kernel, "linear", "gaussian")
        self.steps = _whole_steps(limit / self.dt)
        self.first_width = self.final_width = None
        if kernel == "gaussian":
            first, last = limit / 4 if width is None else width, self.dt / 2 if final_width is None else final_width
            self.first_width = positive_number(owner, "width", first, unit="ms")
            self.final_width = positive_number(owner, "final_width", last, unit="ms")
        else:
            for name, value in {"width": width, "final_width": final_width}.items():
                if value is not None:
                    raise ValueError(
                        f'{owner}: expected no {name} with kernel="linear", got {value:g} ms; drop it, or pass '
                        'kernel="gaussian"'
                    )
        # A tensor, so that annealing recompiles nothing and a checkpoint resumes where it was.
        self.register_buffer("width", None if self.first_width is None else torch.tensor(self.first_width))

    def change_dt(self, dt: float) -> None:
        if self.final_width == self.dt / 2:
            self.final_width = dt / 2
        super().change_dt(dt)
        self.steps = _whole_steps(self.delay.limit / self.dt)

    def anneal(self, progress: float) -> None:
        """Set the width of the Gaussian: geometrically from ``width`` (progress 0) to ``final_width`` (1 and later)."""
        if self.width is None:
            raise ValueError(
                f'{type(self).__name__}: expected kernel="gaussian" to anneal, got kernel={self.kernel!r}; '
                "only the Gaussian has a width"
            )
        progress = positive_number(type(self).__name__, "progress", progress, zero=True)
        self.width.fill_(self.first_width * (self.final_width / self.first_width) ** min(progress, 1.0))

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

    @property
    def reads_by_taps(self) -> bool:
        """Whether a line is read by :meth:`taps`, before anything is multiplied by a matrix."""
        return True

    @property
    def line_weight(self) -> str | None:
        """The name of the matrix, if there is one: of what is read by taps, or of the whole line, oldest first."""
        return None

    def taps(self) -> tuple[Tensor, Tensor]:
        """Which frames are read, as steps before now, and the share of each: [taps, the shape of the delay] both."""
        lag = self.lag()
        if self.width is not None:
            shares = self.lag_weights()
            lags = torch.arange(self.steps + 1, device=lag.device).reshape(-1, *[1] * lag.ndim)
            return lags.expand_as(shares), shares
        earlier, part = split_lag(lag)
        return torch.stack([earlier, (earlier + 1).clamp(max=self.steps)]), torch.stack([1 - part, part])

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
        self,
        x: Tensor,
        state: DelayState | None = None,
        *,
        output_dtype: torch.dtype | None = None,
        input: str = "held",
    ) -> tuple[Tensor, DelayState]:
        if one_of(type(self).__name__, "input", input, "held", "linear") == "linear":
            self._check_linear_input()
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
        return f"max_delay={self.max_delay:g} ms, kernel={self.kernel!r}, {super().extra_repr()}"


def _longest(owner: str, delay: float | Tensor) -> float:
    start = DelayTime(delay, limit=math.inf).start
    if not isinstance(delay, Tensor):
        return float(delay)
    if not readable(start):
        raise ValueError(
            f"{owner}: expected max_delay with delays whose values are not there yet, got none; pass the longest "
            "delay, in ms"
        )
    return start.max().item()


def _whole_steps(steps: float) -> int:
    return max(0, -int((-steps + 1e-6) // 1))


def split_lag(lag: Tensor) -> tuple[Tensor, Tensor]:
    """The whole number of steps, and the rest, which carries the gradient."""
    earlier = torch.floor(lag.detach())
    return earlier.long(), lag - earlier
