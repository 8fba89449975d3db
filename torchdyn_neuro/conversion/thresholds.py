"""Thresholds from what the ReLUs put out on data."""

import math

import torch
from torch import Tensor

from .steps import RECTIFIERS, Step


@torch.no_grad()
def thresholds(steps: list[Step], x: Tensor, percentile: float) -> dict[str, float]:
    """For each ReLU the activation below which ``percentile`` per cent of all its activations lie, by its name.

    Args:
        steps: of the network, without batch norms.
        x: a batch of its inputs.
        percentile: from 0 to 100.

    Source: Rueckauer et al. (2017), Front. Neurosci. 11:682 (99.9 in place of the maximum, which one outlier sets).
    """
    values: dict[str, Tensor] = {}
    found = {}
    last = {name: step.name for step in steps for name in step.inputs}
    for step in steps:
        given = [values[name] for name in step.inputs]
        if not given:
            y = x
        elif step.layer is None:
            y = given[0] + given[1]
        else:
            y = step.layer(given[0].clone() if getattr(step.layer, "inplace", False) else given[0])
        values[step.name] = y
        if isinstance(step.layer, RECTIFIERS):
            found[step.name] = _share(y, percentile)
        for name in step.inputs:
            if last[name] == step.name:
                values.pop(name, None)
    return found


def _share(y: Tensor, percentile: float) -> float:
    flat = y.flatten().double()
    value = flat.kthvalue(max(1, math.ceil(percentile / 100 * flat.numel()))).values.item()
    # Where hardly a neuron is active the maximum; a layer that never was has nothing to pass on.
    return value or flat.max().item() or 1.0
