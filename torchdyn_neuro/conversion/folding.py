"""Batch norms folded into the weights in front of them."""

from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .steps import LINEAR, NORMS, Step


def folded(steps: list[Step], result: str) -> list[Step]:
    r"""The steps without batch norms: each goes into the weights of the layer in front, and its step does nothing.

    .. math:: W' = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} W, \qquad
        b' = \beta + \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} (b - \mu)

    Raises:
        ValueError: if a norm stands elsewhere, has no running statistics, or its input is used by others too.
    """
    uses = Counter([name for step in steps for name in step.inputs] + [result])
    by_name, found = {step.name: step for step in steps}, []
    for step in steps:
        if isinstance(step.layer, NORMS):
            front = by_name[step.inputs[0]].layer
            if not isinstance(front, LINEAR) or uses[step.inputs[0]] > 1 or step.layer.running_mean is None:
                raise ValueError(
                    f"convert: expected batch norms with running statistics right behind a linear layer or a "
                    f"convolution, whose output nothing else uses, got {step.name} elsewhere; move it, or leave it out"
                )
            fold(front, step.layer)
            step = step._replace(layer=nn.Identity())
        found.append(step)
    return found


@torch.no_grad()
def fold(front: nn.Module, norm: nn.Module) -> None:
    """Put a batch norm into the weights of the layer in front of it; what follows from others, quantized ones for
    example, is a parameter of its own then.
    """
    if parametrize.is_parametrized(front):
        values = {name: getattr(front, name).detach().clone() for name in front.parametrizations}
        # Not remove_parametrizations, which changes the class, that copies of the layer share.
        kind = parametrize.type_before_parametrizations(front)
        del front._modules["parametrizations"]
        front.__class__ = kind
        for name, value in values.items():
            front.register_parameter(name, nn.Parameter(value))
    gain = torch.rsqrt(norm.running_var + norm.eps)
    gain = gain if norm.weight is None else gain * norm.weight
    bias = torch.zeros_like(norm.running_mean) if front.bias is None else front.bias
    shift = gain * (bias - norm.running_mean)
    front.bias = nn.Parameter(shift if norm.bias is None else shift + norm.bias)
    front.weight = nn.Parameter(front.weight * _along_outputs(gain, front.weight))


def _along_outputs(values: Tensor, weight: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (weight.ndim - 1))
