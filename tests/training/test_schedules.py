"""Schedules of the learning rate against their formulas."""

import math

import pytest
import torch
from torch import nn

from torchdyn_neuro.training.schedules import Constant, Cosine, OneCycle


def rates(schedule, steps, taken=None):
    """The rates of two groups at each step."""
    first, second = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([{"params": [first]}, {"params": [second], "lr": 0.2}], lr=1.0)
    scheduler, found = schedule(optimizer, steps), []
    for _ in range(steps if taken is None else taken):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return found


def test_constant():
    assert rates(Constant(), 3) == [[1.0, 0.2]] * 3


@pytest.mark.parametrize("warmup", [0.0, 0.2])
def test_cosine(warmup):
    steps, minimum, rising = 20, 0.01, round(20 * warmup)
    for step, pair in enumerate(rates(Cosine(minimum, warmup), steps)):
        for rate, peak in zip(pair, (1.0, 0.2), strict=True):
            if step < rising:
                expected = peak * (step + 1) / (rising + 1)
            else:
                half = (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2
                expected = minimum + (peak - minimum) * half
            assert rate == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("schedule", [Constant(), Cosine(), Cosine(warmup=1.0), Cosine(warmup=0.5), OneCycle()])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps(schedule, steps):
    assert all(0 <= rate <= 1 for pair in rates(schedule, steps) for rate in pair)


@pytest.mark.parametrize("arguments", [{"minimum": -1.0}, {"warmup": 1.5}])
def test_refusals(arguments):
    with pytest.raises(ValueError, match="Cosine: expected"):
        Cosine(**arguments)
