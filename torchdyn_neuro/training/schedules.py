"""Schedules of the learning rate, stepped once per batch: ``schedule(optimizer, steps) -> scheduler``."""

from abc import ABC, abstractmethod

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from ..core.checks import fraction


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
    """From the learning rate of the optimiser down to ``minimum`` along half a cosine.

    Args:
        minimum: the learning rate at the end.
    """

    def __init__(self, minimum: float = 0.0):
        self.minimum = minimum

    def __call__(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        return CosineAnnealingLR(optimizer, T_max=steps, eta_min=self.minimum)


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
