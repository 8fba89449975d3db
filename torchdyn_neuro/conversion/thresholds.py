"""Thresholds from what the ReLUs put out on data."""

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .steps import RECTIFIERS, Step

SOME = 16
"""Number of inputs on which the steps are compared with the model."""


def outputs(steps: list[Step], x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What each step puts out for a batch of inputs, with its name."""
    values: dict[str, Tensor] = {}
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
        yield step.name, y
        for name in step.inputs:
            if last[name] == step.name:
                values.pop(name, None)


@torch.no_grad()
def check_followed(model: nn.Module, steps: list[Step], result: str, x: Tensor) -> None:
    """Raise ``ValueError`` unless the steps give what the model gives, for a few inputs."""
    x = x[:SOME]
    wanted = copy.deepcopy(model).eval()(x.clone())
    got = next(y for name, y in outputs(steps, x.clone()) if name == result)
    size = wanted.abs().max()
    if got.shape != wanted.shape or (got - wanted).abs().max() > 1e-3 * size:
        raise ValueError(
            f"convert: expected steps that one by one give what {type(model).__name__} gives, got other outputs; "
            "let it change no tensor in place that it uses again, and draw no random numbers in evaluation mode"
        )


@torch.no_grad()
def thresholds(steps: list[Step], x: Tensor, percentile: float) -> dict[str, float]:
    """For each ReLU the activation below which ``percentile`` per cent of all its activations lie, by its name.

    Args:
        steps: of the network, without batch norms.
        x: a batch of its inputs.
        percentile: from 0 to 100.

    Source: Rueckauer et al. (2017), Front. Neurosci. 11:682 (99.9 in place of the maximum, which one outlier sets).
    """
    rectified = {step.name for step in steps if isinstance(step.layer, RECTIFIERS)}
    return {name: _share(y, percentile) for name, y in outputs(steps, x) if name in rectified}


def _share(y: Tensor, percentile: float) -> float:
    flat = y.flatten().double()
    value = flat.kthvalue(max(1, math.ceil(percentile / 100 * flat.numel()))).values.item()
    # Where hardly a neuron is active the maximum; a layer that never was has nothing to pass on.
    return value or flat.max().item() or 1.0
