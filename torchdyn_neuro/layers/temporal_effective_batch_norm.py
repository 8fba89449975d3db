"""Temporal effective batch normalization, TEBN."""

import torch
from torch import Tensor, nn

from ..core.checks import positive_number, whole_number
from ..core.stepwise import run_folded
from .frame_norm import FrameNorm, check_channels
from .step_count import StepCount, start_count, steps_of
from .timed_layer import TimedLayer


class TemporalEffectiveBatchNorm(TimedLayer):
    r"""Batch normalization with statistics over all of time, and a learned weight for each step: TEBN.

    .. math:: y_t = p_t \left( \gamma\, \frac{x_t - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta \right), \qquad
        p_t = 1 \text{ at the start}

    Which step it is, is its state, so it also runs in pieces; the last weight stands for all steps behind it. While it
    trains, the statistics are those of the frames of one call. Of :func:`padded` sequences the real ones count alone.

    Args:
        features: number of channels C.
        steps: number of steps that have a weight of their own.
        eps: added to the variance.
        momentum: how fast the running statistics follow.
        dt: time step, ms; it only has to be that of its neighbours.

    Shape:
        - input: [T, B, C, \*]
        - state: the step of each row [B]
        - output: as the input

    Raises:
        ValueError: if ``steps`` is not positive; from ``forward`` for another number of channels.

    Source: Duan, Ding, Chen, Yu & Huang (2022), NeurIPS.

    Example:
        >>> layer = TemporalEffectiveBatchNorm(4, steps=10)
        >>> layer(torch.randn(10, 3, 4, 8, 8)).shape, layer.scale.shape
        (torch.Size([10, 3, 4, 8, 8]), torch.Size([10]))
    """

    def __init__(self, features: int, steps: int, *, eps: float = 1e-5, momentum: float = 0.1, dt: float = 1.0):
        super().__init__(dt=dt)
        owner = type(self).__name__
        self.features = whole_number(owner, "features", features, 1)
        self.steps = whole_number(owner, "steps", steps, 1)
        self.eps, self.momentum = positive_number(owner, "eps", eps), positive_number(owner, "momentum", momentum)
        self.norm = FrameNorm(features, eps=eps, momentum=momentum)
        self.scale = nn.Parameter(torch.ones(steps))

    def initial_state(self, x_t: Tensor) -> StepCount:
        return start_count(x_t)

    def advance(self, x: Tensor, state: StepCount, *, fresh: bool) -> tuple[Tensor, StepCount]:
        y = run_folded(self.norm, x, type(self).__name__)
        weights = self.scale[steps_of(state, len(x), self.steps)]
        y = y * weights.reshape(*weights.shape, *[1] * (y.ndim - 2))
        return y.to(x.dtype), StepCount(state.step + len(x))

    def check_input(self, x: Tensor) -> None:
        super().check_input(x)
        check_channels(type(self).__name__, x[0], self.features)

    def extra_repr(self) -> str:
        return f"{self.features}, steps={self.steps}, {super().extra_repr()}"
