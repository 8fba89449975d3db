"""Schedules of the learning rate, stepped once per batch: ``schedule(optimizer, steps) -> scheduler``."""

from abc import ABC, abstractmethod

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR, SequentialLR

from ..core.checks import fraction, positive_number


class Schedule(ABC):
    """Makes torch's scheduler as soon as optimiser and number of steps are known."""

    @abstractmethod
    def __call__(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        """The scheduler of an optimiser for so many steps."""


class Constant(Schedule):
    """The learning rate of the optimiser throughout."""

    def __call__(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        return ConstantLR(optimizer, factor=1.0, total_iters=0)


class Cosine(Schedule):
    """Up to the learning rate of the optimiser over the share ``warmup`` of the steps, then along half a cosine.

    Args:
        minimum: the learning rate at the end.
        warmup: share of the steps on the way up, in a straight line.

    Source: Loshchilov & Hutter (2017), SGDR, ICLR; the warm-up of Goyal et al. (2017), arXiv:1706.02677.
    """

    def __init__(self, minimum: float = 0.0, warmup: float = 0.0):
        self.minimum = positive_number("Cosine", "minimum", minimum, zero=True)
        self.warmup = fraction("Cosine", "warmup", warmup, of="the steps")

    def __call__(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        rising = min(round(self.warmup * steps), steps - 1)
        if rising < 1:
            return CosineAnnealingLR(optimizer, T_max=steps, eta_min=self.minimum)
        # The first step is one of those that rise, not one at rate zero.
        up = LinearLR(optimizer, start_factor=1 / (rising + 1), total_iters=rising)
        down = CosineAnnealingLR(optimizer, T_max=steps - rising, eta_min=self.minimum)
        return SequentialLR(optimizer, [up, down], milestones=[rising])


class OneCycle(Schedule):
    """Up to the learning rate of the optimiser over the share ``warmup`` of the steps, then down to zero.

    Args:
        warmup: share of the steps on the way up.

    Source: Smith & Topin (2019), Super-convergence, arXiv:1708.07120.
    """

    def __init__(self, warmup: float = 0.2):
        self.warmup = fraction("OneCycle", "warmup", warmup, of="the steps")

    def __call__(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        peaks = [group["lr"] for group in optimizer.param_groups]
        # At least two steps up and two down: torch divides by their numbers less one.
        steps = max(steps, 4)
        share = min(max(self.warmup, 2 / steps), 1 - 2 / steps)
        has_momentum = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
        return OneCycleLR(optimizer, max_lr=peaks, total_steps=steps, pct_start=share, cycle_momentum=has_momentum)
