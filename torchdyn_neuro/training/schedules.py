"""Schedules of the learning rate, stepped once per batch: ``(optimizer, steps) -> scheduler``."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR


def constant(optimizer: Optimizer, steps: int) -> LRScheduler:
    """The learning rate of the optimiser throughout."""
    return ConstantLR(optimizer, factor=1.0, total_iters=0)


def cosine(optimizer: Optimizer, steps: int, minimum: float = 0.0) -> LRScheduler:
    """From the learning rate of the optimiser down to ``minimum`` along half a cosine."""
    return CosineAnnealingLR(optimizer, T_max=steps, eta_min=minimum)


def one_cycle(optimizer: Optimizer, steps: int, warmup: float = 0.2) -> LRScheduler:
    """Up to the learning rate of the optimiser over the share ``warmup`` of the steps, then down to zero.

    Source: Smith & Topin (2019), Super-convergence, arXiv:1708.07120.
    """
    peaks = [group["lr"] for group in optimizer.param_groups]
    # At least two steps up and two down: torch divides by their numbers less one.
    steps = max(steps, 4)
    share = min(max(warmup, 2 / steps), 1 - 2 / steps)
    has_momentum = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
    return OneCycleLR(optimizer, max_lr=peaks, total_steps=steps, pct_start=share, cycle_momentum=has_momentum)
