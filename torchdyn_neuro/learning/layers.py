"""A model taken apart into its layers, one after the other."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..activity import CurrentScale
from ..core.chain import Chain
from ..core.context import real_steps
from ..core.dynamics import Dynamics
from ..core.lengths import padding
from ..core.stepwise import Stepwise, holds_dynamics
from ..layers import InOrder
from ..models.classifier import SpikingClassifier

ELEMENTWISE = (
    *(nn.Identity, nn.ReLU, nn.LeakyReLU, nn.ReLU6, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Softsign, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Hardshrink),
    *(nn.Softshrink, CurrentScale),
)
"""Layers without parameters that act on each element by itself."""
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Part(NamedTuple):
    """A layer of a model.

    name: where it is in the model; module: the layer; framewise: whether it takes frames [B, *], as in a ``Chain``, and
    not sequences [T, B, *], as in an ``nn.Sequential``.
    """

    name: str
    module: nn.Module
    framewise: bool


def parts_of(owner: str, model: nn.Module, name: str = "", framewise: bool = False) -> list[Part]:
    """The layers of a model that runs one after the other, containers opened.

    Args:
        owner: who asks, for messages.
        model: an ``nn.Sequential``, a ``Chain``, a model of ``tdn.models``, or a layer.
        name: of the model.
        framewise: whether it takes frames.

    Raises:
        TypeError: if dynamics are inside something whose order is not known.
    """
    forward = type(model).forward
    if isinstance(model, Chain):
        children = list(model._modules.items())
        framewise = True
    elif (isinstance(model, nn.Sequential) and forward is nn.Sequential.forward) or (
        isinstance(model, InOrder) and forward in (InOrder.forward, SpikingClassifier.forward)
    ):
        children = list(model._modules.items())
    elif not isinstance(model, Dynamics) and holds_dynamics(model):
        raise TypeError(
            f"{owner}: expected layers one after the other (nn.Sequential, Chain, a model of tdn.models), got dynamics "
            f"inside {type(model).__name__}, whose order is not known; use BPTT or TBPTT, or write it as a Chain"
        )
    else:
        return [Part(name, model, framewise)]
    prefix = f"{name}." if name else ""
    return [part for key, child in children for part in parts_of(owner, child, prefix + key, framewise)]


def run_part(part: Part, x: Tensor) -> Tensor:
    """A layer without time on a piece of a sequence [T, B, \\*]."""
    return Chain(part.module)(x) if part.framewise else part.module(x)


def batch_norm(module: nn.Module) -> nn.Module | None:
    """The norm over the batch that a layer is, wrapped or not."""
    inner = module.module if isinstance(module, Stepwise) else module
    return inner if isinstance(inner, BATCH_NORMS) else None


class RunningNorm(nn.Module):
    r"""A batch norm that goes by its running statistics, and lets them follow what it sees.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta

    Who learns forward in time knows no statistics of a sequence that is not over. With the running ones the norm acts
    on each neuron by itself, and as it will act in evaluation.

    Args:
        norm: the batch norm.

    Shape:
        - input, output: [..., features]

    Raises:
        ValueError: if it keeps no running statistics.
    """

    def __init__(self, norm: nn.Module):
        super().__init__()
        if norm.running_mean is None:
            raise ValueError(
                f"RunningNorm: expected a norm with running statistics, got {norm}; let it track_running_stats"
            )
        self.norm = norm
        self.seen: tuple[int, Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        y = (x - norm.running_mean) * torch.rsqrt(norm.running_var + norm.eps)
        return y * norm.weight + norm.bias if norm.affine else y

    @torch.no_grad()
    def watch(self, x: Tensor) -> None:
        """Take account of the next piece [T, B, features], or frame [B, features], of a sequence: of what is real."""
        if not self.norm.training:
            return
        lengths = real_steps()
        if lengths is not None:
            x = x[lengths > 0] if x.ndim == 2 else x[~padding(lengths, len(x))]
        x = x.flatten(0, -2)
        if not len(x):
            return
        x = x.to(self.norm.running_mean.dtype)
        count, mean = len(x), x.mean(0)
        spread = (x - mean).square().sum(0)
        if self.seen is not None:
            before, old, old_spread = self.seen
            apart, count = mean - old, before + count
            spread = old_spread + spread + apart.square() * (before * len(x) / count)
            mean = old + apart * (len(x) / count)
        self.seen = count, mean, spread

    @torch.no_grad()
    def settle(self) -> None:
        """Move the running statistics, at the end of a sequence, as the norm itself does when it sees all of it."""
        if self.seen is None:
            return
        norm, (count, mean, spread) = self.norm, self.seen
        norm.num_batches_tracked += 1
        momentum = norm.momentum if norm.momentum is not None else 1 / norm.num_batches_tracked.item()
        norm.running_mean.lerp_(mean, momentum)
        norm.running_var.lerp_(spread / max(count - 1, 1), momentum)
        self.seen = None
