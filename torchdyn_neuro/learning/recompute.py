"""Activations that the backward pass computes once more, in place of finding them kept: by layers, or over time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..core.chain import Chain
from ..core.context import interceptor, padded
from ..core.dynamics import Dynamics
from ..core.steady import is_frame_by_frame, over_steady
from ..core.stepwise import Stepwise, holds_dynamics
from ..core.streaming import Carried, run_carrying
from ..core.torch_private import NormBase
from ..models.classifier import SpikingClassifier


def by_layers(model: nn.Module, x: Tensor) -> Tensor:
    """``model(x)``, of which backward finds only what goes from block to block; each block ends with its dynamics.

    Args:
        model: an ``nn.Sequential``, a :class:`Chain`, or one of the models of this package.
        x: a sequence [T, B, \\*].

    Raises:
        TypeError: for another model, whose forward may do anything.
    """
    if isinstance(model, SpikingClassifier):
        model.check_input(x)
    *blocks, last = blocks_of(model)
    for block in blocks:
        # Not through ``functools.partial`` of tensors: what the block is given is all that is kept.
        x = checkpoint(partial(_run, block), x, use_reentrant=False, context_fn=partial(_contexts, block))
    return _run(last, x)


def blocks_of(model: nn.Module) -> list[list[nn.Module]]:
    """The layers of a model that stand in a row, in blocks that end with dynamics."""
    kind = type(model)
    if kind.forward not in (nn.Sequential.forward, SpikingClassifier.forward) and not isinstance(model, Chain):
        raise TypeError(
            f"BPTT: expected layers that stand in a row for recompute='layers' (an nn.Sequential, a Chain, or a model "
            f"of tdn.models), got {kind.__name__}, whose forward may do anything; use torch.utils.checkpoint inside "
            "it, or recompute='time'"
        )
    if isinstance(model, Chain) and model.learns:
        raise TypeError("BPTT: expected no Plastic connections for recompute='layers', got some; use recompute='none'")
    blocks: list[list[nn.Module]] = [[]]
    for layer in model.children():
        blocks[-1].append(layer)
        if holds_dynamics(layer):
            blocks.append([])
    blocks = [block for block in blocks if block]
    # As slices of the chain, which fold what reads no time.
    return [Chain(*block) for block in blocks] if isinstance(model, Chain) else blocks


def _run(block: Sequence[nn.Module] | Chain, x: Tensor) -> Tensor:
    if isinstance(block, Chain):
        return block(x)
    for layer in block:
        x = layer(x) if holds_dynamics(layer) else over_steady(layer, x, layer)
    return x


def _contexts(block: Sequence[nn.Module]) -> tuple[Any, Any]:
    return nullcontext(), _with_norms_at_rest([part for layer in block for part in layer.modules()])


@contextmanager
def _with_norms_at_rest(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Let norms compute what they have computed, and count nothing twice."""
    norms = [part for part in parts if isinstance(part, NormBase) and part.training]
    before = [(norm, name, buffer) for norm in norms for name, buffer in norm._buffers.items() if buffer is not None]
    try:
        for norm, name, buffer in before:
            norm._buffers[name] = buffer.clone()
        yield
    finally:
        for norm, name, buffer in before:
            norm._buffers[name] = buffer


def over_time(model: nn.Module, x: Tensor, steps: int, lengths: Tensor | None) -> Tensor:
    """``model(x)`` in pieces of ``steps``, of which backward finds only the states in between.

    Args:
        model: acts on frame after frame, and calls each of its dynamics once.
        x: a sequence [T, B, \\*].
        steps: length of a piece.
        lengths: real steps of each row, if padded.

    Raises:
        TypeError: if a layer looks at several frames at once, as a norm over the batch does.
    """
    check_frame_by_frame(model)
    if interceptor() is not None:
        raise RuntimeError("BPTT: expected to run the model by itself, got one that is being streamed; train outside")
    outputs, states = [], {}

    def run(piece: Tensor, before: Carried, real: Tensor | None) -> tuple[Tensor, Carried]:
        after = dict(before)
        with padded(real):
            return run_carrying("BPTT", model, piece, after, keep_history=True), after

    for number, piece in enumerate(x.split(steps)):
        real = None if lengths is None else (lengths - number * steps).clamp(0, len(piece))
        y, states = checkpoint(run, piece, states, real, use_reentrant=False)
        outputs.append(y)
    return torch.cat(outputs)


def check_frame_by_frame(model: nn.Module) -> None:
    """Raise ``TypeError`` if a part of a model may look at several frames at once."""
    for name, part in _outside_dynamics(model, ""):
        norm = isinstance(part, NormBase) and part.training
        if norm or (not any(True for _ in part.children()) and not is_frame_by_frame(part)):
            what = "takes its statistics over all frames" if norm else "may look at several frames at once"
            raise TypeError(
                f"BPTT: expected layers that treat each frame by itself for recompute='time', got "
                f"{type(part).__name__} at {name or 'the top'}, which {what}; use recompute='layers'"
            )


def _outside_dynamics(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(module, Dynamics) and not isinstance(module, Chain):
        return
    if not isinstance(module, Stepwise):
        yield name, module
    for child, part in module.named_children():
        yield from _outside_dynamics(part, f"{name}.{child}" if name else child)
