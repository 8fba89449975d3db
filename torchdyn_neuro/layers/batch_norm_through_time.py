"""Batch normalization through time, BNTT."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.checks import positive_number, whole_number
from ..core.context import real_steps_of
from ..core.lengths import check_lengths, padding
from .frame_norm import check_channels
from .step_count import StepCount, start_count, steps_of
from .timed_layer import TimedLayer


class BatchNormThroughTime(TimedLayer):
    r"""Batch normalization with statistics and a scale for each step, and no shift: BNTT.

    .. math:: y_t = \gamma_t\, \frac{x_t - \mu_t}{\sqrt{\sigma_t^2 + \epsilon}}

    Which step it is, is its state, so it also runs in pieces; in evaluation the last step stands for all behind it. Of
    :func:`padded` sequences the statistics of a step are those of the rows that last so long.

    Args:
        features: number of channels C.
        steps: number of steps.
        eps: added to the variance.
        momentum: how fast the running statistics follow.
        dt: time step, ms; it only has to be that of its neighbours.

    Shape:
        - input: [T, B, C, \*]
        - state: the step of each row [B]
        - output: as the input

    Raises:
        ValueError: if ``steps`` or ``eps`` is not positive; from ``forward`` for another number of channels, and in
            training for more steps than ``steps``, rows at different steps, or one value per channel and step.

    Source: Kim & Panda (2021), Front. Neurosci. 15:773954.

    Example:
        >>> layer = BatchNormThroughTime(4, steps=10)
        >>> layer(torch.randn(10, 3, 4, 8, 8)).shape, layer.weight.shape
        (torch.Size([10, 3, 4, 8, 8]), torch.Size([10, 4]))
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, steps: int, *, eps: float = 1e-5, momentum: float = 0.1, dt: float = 1.0):
        owner = type(self).__name__
        super().__init__(dt=dt)
        self.features = whole_number(owner, "features", features, 1)
        self.steps = whole_number(owner, "steps", steps, 1)
        self.eps, self.momentum = positive_number(owner, "eps", eps), positive_number(owner, "momentum", momentum)
        self.weight = nn.Parameter(torch.ones(steps, features))
        self.register_buffer("running_mean", torch.zeros(steps, features))
        self.register_buffer("running_var", torch.ones(steps, features))

    def initial_state(self, x_t: Tensor) -> StepCount:
        return start_count(x_t)

    def advance(self, x: Tensor, state: StepCount, *, fresh: bool) -> tuple[Tensor, StepCount]:
        after = StepCount(state.step + len(x))
        if self.training:
            return self._by_batch(x, self._first_step(len(x), state, fresh)), after
        gain = self.weight * torch.rsqrt(self.running_var + self.eps)
        steps = steps_of(state, len(x), self.steps)
        gain, shift = (table[steps] for table in (gain, -self.running_mean * gain))
        axes = [1] * (x.ndim - 3)
        y = x * gain.reshape(*gain.shape, *axes) + shift.reshape(*shift.shape, *axes)
        return y.to(x.dtype), after

    def _first_step(self, steps: int, state: StepCount, fresh: bool) -> int:
        first = 0 if fresh else int(state.step[0])
        if not fresh and not bool((state.step == first).all()):
            raise ValueError(
                f"{type(self).__name__}: expected all rows at the same step while it trains, got "
                f"{state.step.tolist()}; reset all of them together"
            )
        if first + steps > self.steps:
            raise ValueError(
                f"{type(self).__name__}: expected at most {self.steps} steps while it trains, got {first + steps}; "
                f"build it with steps={first + steps}"
            )
        return first

    def _by_batch(self, x: Tensor, first: int) -> Tensor:
        """Normalized by the statistics of each frame over the batch, which the running ones follow."""
        own, lengths = slice(first, first + len(x)), real_steps_of(self)
        if lengths is not None:
            return self._by_real_rows(x, own, check_lengths(type(self).__name__, lengths, x.shape[1], len(x), least=0))
        # Steps count as channels, so that torch's norm over the batch does all of them at once.
        frames = x.transpose(0, 1).flatten(1, 2)
        y = functional.batch_norm(
            frames,
            self.running_mean[own].view(-1),
            self.running_var[own].view(-1),
            self.weight[own].reshape(-1),
            None,
            True,
            self.momentum,
            self.eps,
        )
        return y.unflatten(1, (len(x), self.features)).transpose(0, 1)

    def _by_real_rows(self, x: Tensor, own: slice, lengths: Tensor) -> Tensor:
        """The same by the rows that last so long; zero in the others, and no word of a step that has only one value."""
        axes = (1, *range(3, x.ndim))
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        real = ~padding(lengths.to(x.device), len(x)).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
        count = real.sum(1, keepdim=True) * x[0, 0, 0].numel()
        mean = torch.where(real, wide, 0).sum(axes, keepdim=True) / count.clamp(min=1)
        deviation = torch.where(real, wide - mean, 0)
        squares = deviation.square().sum(axes, keepdim=True)
        with torch.no_grad():
            known = (count > 1).reshape(-1, 1)
            unbiased = squares / (count - 1).clamp(min=1)
            for running, new in ((self.running_mean[own], mean), (self.running_var[own], unbiased)):
                running.copy_(torch.where(known, running.lerp(new.reshape(running.shape), self.momentum), running))
        gain = self.weight[own].reshape(len(x), 1, self.features, *[1] * (x.ndim - 3))
        return (gain * deviation * torch.rsqrt(squares / count.clamp(min=1) + self.eps)).to(x.dtype)

    def check_input(self, x: Tensor) -> None:
        super().check_input(x)
        check_channels(type(self).__name__, x[0], self.features)

    def extra_repr(self) -> str:
        return f"{self.features}, steps={self.steps}, {super().extra_repr()}"
